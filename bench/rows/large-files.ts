import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { filesArrived } from '../check.ts'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { urlOf } from '../longshore.ts'
import { rclone, s5cmdLargeWays } from '../peers.ts'
import { room, type Sizes } from '../sizes.ts'
import { speed, thrift } from '../stats.ts'
import type { Bench, Row, Target } from '../types.ts'
import { preloadPlain } from './small-files.ts'

export function largeSet(sizes: Sizes) {
  return { id: 'large', objects: sizes.large, meanBytes: sizes.largeBytes, flat: true }
}

export const largeFiles: Row = {
  id: 4,
  title: 'large objects → local files',
  schemes: ['https', 'http'],
  needs: (sizes) => 2 * room(sizes.large, sizes.largeBytes),
  reads: () => ['large'],
  async run(bench, target) {
    const set = await bench.data.inBucket(target, largeSet(bench.sizes))
    const least = target.scheme === 'http' ? { s5cmd: 1, rclone: 0.9 } : { s5cmd: 0.95, rclone: 0.8 }
    const result = await contest(bench, target, {
      title: largeFiles.title,
      objects: set.objects,
      bytes: set.bytes,
      contestants: [
        preloadPlain(bench, target, set),
        s5cmdLarge(bench, target, set),
        rcloneLarge(bench, target, set),
      ],
      claims: (named) => [
        speed(named('longshore'), named('s5cmd'), { atLeast: least.s5cmd, aim: 1.1 }),
        speed(named('longshore'), named('rclone'), { atLeast: least.rclone, aim: 1.1 }),
        thrift(named('longshore'), named('s5cmd'), {}),
        thrift(named('longshore'), named('rclone'), {}),
      ],
    })
    return { contests: [result], notes: [] }
  },
}

function s5cmdLarge(bench: Bench, target: Target, set: DataSet): Contestant {
  const out = join(bench.dir, 's5cmd')
  return {
    name: 's5cmd',
    ways: s5cmdLargeWays(bench, target, [urlOf(target, `${set.prefix}*`), `${out}/`]),
    check: ({ thorough }) => filesArrived(out, set, { thorough }),
    clear: () => rm(out, { recursive: true, force: true }),
  }
}

function rcloneLarge(bench: Bench, target: Target, set: DataSet): Contestant {
  const out = join(bench.dir, 'rclone')
  const from = `:s3:${target.bucket}/${target.prefix}${set.prefix}`
  // Its cutoff is 256 MiB: files of just that size would go in one stream each.
  const lean = ['--transfers', '4', '--multi-thread-cutoff', '64Mi', '--ignore-checksum']
  lean.push('--use-server-modtime', '--s3-no-head-object', '--no-check-dest', '--no-update-dir-modtime')
  return {
    name: 'rclone',
    ways: ['4', '1'].map((streams) => ({
      setting: streams,
      argv: rclone(bench.peers, target, ['copy', from, out, '--multi-thread-streams', streams, ...lean]),
    })),
    check: ({ thorough }) => filesArrived(out, set, { thorough }),
    clear: () => rm(out, { recursive: true, force: true }),
  }
}
