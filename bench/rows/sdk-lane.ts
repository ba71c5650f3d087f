import { contest } from '../contest.ts'
import { room } from '../sizes.ts'
import { speed, thrift } from '../stats.ts'
import type { Row } from '../types.ts'
import { preloadPlain, smallSet } from './small-files.ts'

export const sdkLane: Row = {
  id: 8,
  title: 'the SDK lane forced, row 1 again',
  schemes: ['https'],
  needs: (sizes) => 2 * room(sizes.small, sizes.smallBytes),
  reads: () => ['small'],
  async run(bench, target) {
    const set = await bench.data.inBucket(target, smallSet(bench.sizes))
    const ours = preloadPlain(bench, target, set)
    const forced = ours.ways.map((way) => ({ ...way, env: { LONGSHORE_LANE: 'sdk' } }))
    const result = await contest(bench, target, {
      title: sdkLane.title,
      objects: set.objects,
      bytes: set.bytes,
      contestants: [ours, { ...ours, name: 'longshore, SDK lane', ways: forced }],
      claims: (named) => [
        speed(named('longshore'), named('longshore, SDK lane'), {}),
        thrift(named('longshore'), named('longshore, SDK lane'), {}),
      ],
    })
    return { contests: [result], notes: ['The files of both are compared with the objects, byte for byte.'] }
  },
}
