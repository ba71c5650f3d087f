import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { shardsArrived } from '../check.ts'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { longshore, urlOf } from '../longshore.ts'
import { s5cmd } from '../peers.ts'
import { room } from '../sizes.ts'
import { speed, thrift } from '../stats.ts'
import type { Bench, Row, Target } from '../types.ts'
import { smallSet } from './small-files.ts'

const SHARD_MIB = 256

export const pack: Row = {
  id: 2,
  title: 'small objects → tar shards in S3',
  schemes: ['https'],
  needs: (sizes) => 4 * room(sizes.small, sizes.smallBytes),
  reads: () => ['small'],
  async run(bench, target) {
    const set = await bench.data.inBucket(target, smallSet(bench.sizes))
    const result = await contest(bench, target, {
      title: pack.title,
      objects: set.objects,
      bytes: set.bytes,
      contestants: [packed(target, set), byHand(bench, target, set)],
      claims: (named) => [
        speed(named('longshore'), named('s5cmd + tar + s5cmd'), { atLeast: 3, aim: 4 }),
        thrift(named('longshore'), named('s5cmd + tar + s5cmd'), {}),
      ],
    })
    return {
      contests: [result],
      notes: [
        `Shards of ${SHARD_MIB} MiB on both sides. longshore also shuffles, writes a manifest, a sample index and a ` +
          'checksum a part; the pipeline does none of it and runs one tar a core.',
      ],
    }
  },
}

function packed(target: Target, set: DataSet): Contestant {
  const to = 'packed/'
  const shape = ['--shard-size', `${SHARD_MIB}MiB`]
  return {
    name: 'longshore',
    ways: [
      {
        setting: 'default',
        argv: longshore(target, ['pack', urlOf(target, set.prefix), urlOf(target, to), ...shape]),
      },
    ],
    check: ({ thorough }) => shardsArrived(target, to, { set, thorough }),
    clear: () => target.remove(to),
  }
}

/** What a user without a packer does: fetch, split into lists of a shard each, tar, upload. */
function byHand(bench: Bench, target: Target, set: DataSet): Contestant {
  const to = 'by-hand/'
  const work = join(bench.dir, 'by-hand')
  const script = (workers: string) =>
    [
      'set -e',
      `mkdir -p ${work}/raw ${work}/lists ${work}/shards`,
      quoted(s5cmd(bench.peers, target, ['cp', urlOf(target, `${set.prefix}*`), `${work}/raw/`], workers)),
      `cd ${work}/raw`,
      `find . -type f -printf '%s %P\\n' | LC_ALL=C sort -k 2 | awk -v max=${SHARD_MIB * 2 ** 20} '` +
        '{ $1 += 1024; if (at + $1 > max) { n++; at = 0 } at += $1; print $2 > sprintf("../lists/%06d", n) }' +
        "'",
      `ls ../lists | xargs -P "$(nproc)" -I{} tar -cf ../shards/train-{}.tar -T ../lists/{}`,
      quoted(
        s5cmd(bench.peers, target, ['cp', '-c', '16', '-p', '8', `${work}/shards/`, urlOf(target, to)], '64'),
      ),
    ].join('\n')
  return {
    name: 's5cmd + tar + s5cmd',
    ways: ['64', '32', '256'].map((workers) => ({
      setting: workers,
      argv: ['sh', '-c', script(workers)],
    })),
    check: ({ thorough }) => shardsArrived(target, to, { set, thorough }),
    clear: async () => {
      await rm(work, { recursive: true, force: true })
      await target.remove(to)
    },
  }
}

function quoted(argv: string[]): string {
  return argv.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
}
