import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { filesArrived } from '../check.ts'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { longshore, urlOf } from '../longshore.ts'
import { rclone, s5cmd } from '../peers.ts'
import { room, type Sizes } from '../sizes.ts'
import { speed, thrift } from '../stats.ts'
import type { Bench, Row, Target } from '../types.ts'

export function smallSet(sizes: Sizes) {
  return { id: 'small', objects: sizes.small, meanBytes: sizes.smallBytes }
}

export const smallFiles: Row = {
  id: 1,
  title: 'plain prefix of small objects → local files',
  schemes: ['https', 'http'],
  needs: (sizes) => 2 * room(sizes.small, sizes.smallBytes),
  reads: () => ['small'],
  async run(bench, target) {
    const set = await bench.data.inBucket(target, smallSet(bench.sizes))
    const result = await contest(bench, target, {
      title: smallFiles.title,
      objects: set.objects,
      bytes: set.bytes,
      contestants: [
        preloadPlain(bench, target, set),
        s5cmdFiles(bench, target, set),
        rcloneFiles(bench, target, set),
      ],
      claims: (named) => {
        const ours = named('longshore')
        const judged = target.scheme === 'https'
        return [
          speed(ours, named('s5cmd'), judged ? { atLeast: 3, aim: 4 } : {}),
          thrift(ours, named('s5cmd'), judged ? { atLeast: 4, aim: 8 } : {}),
          speed(ours, named('rclone'), {}),
          thrift(ours, named('rclone'), {}),
        ]
      },
    })
    return {
      contests: [result],
      notes: [
        'longshore checks size and ETag of each object and puts the dataset durably on disk before it is READY; ' +
          's5cmd checks nothing, rclone was told to leave its MD5 out.',
      ],
    }
  },
}

export function preloadPlain(bench: Bench, target: Target, set: DataSet): Contestant {
  const cache = join(bench.dir, 'cache')
  return {
    name: 'longshore',
    ways: [
      {
        setting: 'default',
        argv: longshore(target, ['preload', urlOf(target, set.prefix), '--cache-dir', cache]),
      },
    ],
    check: ({ stdout, thorough }) => filesArrived(stdout.trim(), set, { thorough }),
    clear: () => rm(cache, { recursive: true, force: true }),
  }
}

export function s5cmdFiles(bench: Bench, target: Target, set: DataSet): Contestant {
  const out = join(bench.dir, 's5cmd')
  return {
    name: 's5cmd',
    kind: 'small files',
    ways: ['64', '32', '256'].map((workers) => ({
      setting: workers,
      argv: s5cmd(bench.peers, target, ['cp', urlOf(target, `${set.prefix}*`), `${out}/`], workers),
    })),
    check: ({ thorough }) => filesArrived(out, set, { thorough }),
    clear: () => rm(out, { recursive: true, force: true }),
  }
}

function rcloneFiles(bench: Bench, target: Target, set: DataSet): Contestant {
  const out = join(bench.dir, 'rclone')
  const from = `:s3:${target.bucket}/${target.prefix}${set.prefix}`
  // No HEAD an object for its time, no MD5, no look at the empty folder: nothing that the others leave out.
  const lean = ['--fast-list', '--no-check-dest', '--use-server-modtime', '--s3-no-head-object']
  lean.push('--ignore-checksum', '--inplace', '--no-update-dir-modtime')
  return {
    name: 'rclone',
    kind: 'small files',
    ways: ['32', '64'].map((width) => ({
      setting: width,
      argv: rclone(bench.peers, target, [
        'copy',
        from,
        out,
        '--transfers',
        width,
        '--checkers',
        width,
        ...lean,
      ]),
    })),
    check: ({ thorough }) => filesArrived(out, set, { thorough }),
    clear: () => rm(out, { recursive: true, force: true }),
  }
}
