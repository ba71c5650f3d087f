import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { objectsArrived } from '../check.ts'
import { type Contestant, contest } from '../contest.ts'
import type { DataSet } from '../data.ts'
import { longshore, urlOf } from '../longshore.ts'
import { rclone, s5cmdLargeWays } from '../peers.ts'
import { room } from '../sizes.ts'
import { speed, thrift } from '../stats.ts'
import type { Bench, Row, Target } from '../types.ts'
import { largeSet } from './large-files.ts'

export const upload: Row = {
  id: 5,
  title: 'local files → S3, with checksums',
  schemes: ['https'],
  needs: (sizes) => 2 * room(sizes.large, sizes.largeBytes),
  reads: () => [],
  async run(bench, target) {
    const folder = join(bench.dir, 'checkpoints')
    const small = join(bench.dir, 'small-checkpoints')
    try {
      const set = await checkpoint(bench, folder, largeSet(bench.sizes).meanBytes)
      const bare = await checkpoint(bench, small, 16)
      const result = await contest(bench, target, {
        title: upload.title,
        objects: set.objects,
        bytes: set.bytes,
        contestants: [
          syncOnce(target, folder, set),
          s5cmdUpload(bench, target, folder, set),
          rcloneUpload(bench, target, folder, set),
        ],
        claims: (named) => [
          speed(named('longshore'), named('s5cmd'), { atLeast: 1.4, aim: 1.6 }),
          thrift(named('longshore'), named('s5cmd'), {}),
          speed(named('longshore'), named('rclone'), {}),
          thrift(named('longshore'), named('rclone'), {}),
        ],
      })
      const overhead = await contest(bench, target, {
        title: `the same commit with ${bare.objects} files of 16 bytes: what it costs beside the bytes`,
        objects: bare.objects,
        bytes: bare.bytes,
        contestants: [syncOnce(target, small, bare)],
        claims: () => [],
      })
      return {
        contests: [result, overhead],
        notes: [
          'longshore commits a checkpoint: it takes the run over (probe of conditional writes, takeover record), ' +
            'waits for a second unchanged look at the folder, pins the files by hard links, sends a CRC-32 with each ' +
            'part and writes the commit record. s5cmd and rclone copy the files, with an MD5 a part.',
        ],
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
      await rm(small, { recursive: true, force: true })
    }
  },
}

/** A finished checkpoint in DIR/step-1: the files, and then the marker. */
async function checkpoint(bench: Bench, folder: string, meanBytes: number): Promise<DataSet> {
  const spec = { id: `upload-${meanBytes}`, objects: bench.sizes.large, meanBytes, flat: true }
  const set = await bench.data.inFolder(join(folder, 'step-1'), spec)
  await writeFile(join(folder, 'step-1', 'DONE'), '')
  return set
}

function syncOnce(target: Target, folder: string, set: DataSet): Contestant {
  const to = 'run/'
  const when = ['--once', '--marker', 'DONE', '--scan-interval', '100ms']
  return {
    name: 'longshore',
    ways: [{ setting: 'default', argv: longshore(target, ['sync', folder, urlOf(target, to), ...when]) }],
    check: () => objectsArrived(target, `${to}step-1/class-000/`, set),
    clear: async () => {
      // It remembers what it has committed.
      await rm(join(folder, '.longshore'), { recursive: true, force: true })
      await target.remove(to)
    },
  }
}

function s5cmdUpload(bench: Bench, target: Target, folder: string, set: DataSet): Contestant {
  const to = 's5cmd/'
  return {
    name: 's5cmd',
    ways: s5cmdLargeWays(bench, target, [`${folder}/step-1/class-000/`, urlOf(target, to)]),
    check: () => objectsArrived(target, to, set),
    clear: () => target.remove(to),
  }
}

function rcloneUpload(bench: Bench, target: Target, folder: string, set: DataSet): Contestant {
  const to = 'rclone/'
  const url = `:s3:${target.bucket}/${target.prefix}${to}`
  // Its parts have an MD5 each; the one of the whole file beforehand would be a second pass over it.
  const lean = ['--transfers', '4', '--s3-disable-checksum', '--s3-no-head', '--ignore-checksum']
  lean.push('--no-check-dest', '--s3-chunk-size', '8Mi', '--s3-upload-cutoff', '16Mi')
  return {
    name: 'rclone',
    ways: ['4', '16'].map((width) => ({
      setting: width,
      argv: rclone(bench.peers, target, [
        'copy',
        `${folder}/step-1/class-000/`,
        url,
        '--s3-upload-concurrency',
        width,
        ...lean,
      ]),
    })),
    check: () => objectsArrived(target, to, set),
    clear: () => target.remove(to),
  }
}
