import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { longshore, urlOf } from '../longshore.ts'
import { rclone, s5cmd } from '../peers.ts'
import { room } from '../sizes.ts'
import { rssOf, speed, thrift } from '../stats.ts'
import type { Bench, Contest, Row, Target } from '../types.ts'
import { tinySet } from './pack-scale.ts'

export const listing: Row = {
  id: 7,
  title: 'listing',
  schemes: ['https'],
  needs: (sizes) => sizes.list.reduce((sum, objects) => sum + room(objects, sizes.tinyBytes), 0),
  reads: (sizes) => sizes.list.map((objects) => tinySet(sizes, objects).id),
  async run(bench, target) {
    const contests: Contest[] = []
    for (const objects of bench.sizes.list) {
      const set = await bench.data.inBucket(target, tinySet(bench.sizes, objects))
      contests.push(
        await contest(bench, target, {
          title: `list of ${objects.toLocaleString('en')} keys`,
          objects,
          bytes: 0,
          contestants: [
            planOnly(bench, target, set),
            s5cmdList(bench, target, set),
            rcloneList(bench, target, set),
          ],
          claims: (named) => [
            speed(named('longshore'), named('s5cmd'), {}),
            thrift(named('longshore'), named('s5cmd'), {}),
            speed(named('longshore'), named('rclone'), {}),
          ],
        }),
      )
    }
    const rss = contests.map(({ entrants: [ours] }) =>
      ours === undefined || ours.failed !== undefined ? undefined : rssOf(ours),
    )
    const [first, last] = [rss[0], rss.at(-1)]
    contests.at(-1)?.claims.push({
      what: 'growth of peak RSS, first to last size',
      value: first === undefined || last === undefined ? undefined : (last / first - 1) * 100,
      unit: '%',
      atMost: 25,
    })
    return {
      contests,
      notes: [
        '`preload --dry-run` lists, sorts what has to be sorted and counts requests and bytes; s5cmd and rclone print ' +
          'the keys. The server walks its folders for a listing, so its CPU time is the limit to compare with.',
      ],
    }
  },
}

function planOnly(bench: Bench, target: Target, set: DataSet): Contestant {
  const cache = join(bench.dir, 'cache')
  const args = ['preload', urlOf(target, set.prefix), '--cache-dir', cache, '--dry-run', '--json']
  return {
    name: 'longshore',
    ways: [{ setting: 'default', argv: longshore(target, args) }],
    check: async ({ stdout }) => {
      const summary = stdout.trim().split('\n').at(-1) ?? ''
      if (!summary.includes(`"files":${set.objects},`)) throw new Error(`it did not find all: ${summary}`)
    },
    clear: () => rm(cache, { recursive: true, force: true }),
  }
}

function s5cmdList(bench: Bench, target: Target, set: DataSet): Contestant {
  return {
    name: 's5cmd',
    ways: [
      {
        setting: 'default',
        argv: s5cmd(bench.peers, target, ['ls', urlOf(target, `${set.prefix}*`)]),
      },
    ],
    check: async ({ stdout }) => linesAre(stdout, set.objects),
    clear: async () => {},
  }
}

function rcloneList(bench: Bench, target: Target, set: DataSet): Contestant {
  const from = `:s3:${target.bucket}/${target.prefix}${set.prefix}`
  const args = (more: string[]) => rclone(bench.peers, target, ['lsf', from, '-R', '--files-only', ...more])
  return {
    name: 'rclone',
    ways: [
      { setting: 'fast-list', argv: args(['--fast-list']) },
      { setting: 'by folder', argv: args(['--checkers', '32']) },
    ],
    check: async ({ stdout }) => linesAre(stdout, set.objects),
    clear: async () => {},
  }
}

function linesAre(stdout: string, count: number): void {
  const lines = stdout.trim().split('\n').length
  if (lines !== count) throw new Error(`${lines} keys listed, not ${count}`)
}
