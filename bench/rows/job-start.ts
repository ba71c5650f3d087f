import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { membersOf } from '../check.ts'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { longshore, urlOf } from '../longshore.ts'
import { room } from '../sizes.ts'
import { speed, thrift } from '../stats.ts'
import type { Bench, Row, Target } from '../types.ts'
import { s5cmdFiles } from './small-files.ts'
import { tarsBelow } from './tars-below.ts'

const PACKED = 'start-packed/'

export const jobStart: Row = {
  id: 3,
  title: 'job start: preload of the packed set, s5cmd of the raw one',
  schemes: ['https'],
  needs: (sizes) => 3 * room(sizes.start, sizes.smallBytes),
  reads: () => ['start'],
  async run(bench, target) {
    const spec = { id: 'start', objects: bench.sizes.start, meanBytes: bench.sizes.smallBytes }
    const set = await bench.data.inBucket(target, spec)
    try {
      bench.say('packing it once, as its owner would have done')
      const argv = longshore(target, ['pack', urlOf(target, set.prefix), urlOf(target, PACKED)])
      await bench.measure({ argv, env: target.env })
      const result = await contest(bench, target, {
        title: jobStart.title,
        objects: set.objects,
        bytes: set.bytes,
        contestants: [preloadPacked(bench, target, set), s5cmdFiles(bench, target, set)],
        claims: (named) => [
          speed(named('longshore'), named('s5cmd'), { atLeast: 15, aim: 25 }),
          thrift(named('longshore'), named('s5cmd'), {}),
        ],
      })
      return { contests: [result], notes: ['Packing the set is done once and is not in these times.'] }
    } finally {
      await target.remove(PACKED)
    }
  },
}

function preloadPacked(bench: Bench, target: Target, set: DataSet): Contestant {
  const cache = join(bench.dir, 'cache')
  return {
    name: 'longshore',
    ways: [
      {
        setting: 'default',
        argv: longshore(target, ['preload', urlOf(target, PACKED), '--cache-dir', cache]),
      },
    ],
    check: async ({ stdout, thorough }) => {
      let bytes = 0
      let members = 0
      for await (const { path, size } of tarsBelow(stdout.trim())) {
        bytes += size
        if (thorough) members += await membersOf(path)
      }
      if (bytes < set.bytes) throw new Error(`shards of ${bytes} bytes arrived, not of ${set.bytes}`)
      if (thorough && members !== set.objects) {
        throw new Error(`the shards have ${members} members, not ${set.objects}`)
      }
    },
    clear: () => rm(cache, { recursive: true, force: true }),
  }
}
