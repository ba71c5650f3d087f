import { lstat, opendir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crcHex } from '../checksum/crc32.ts'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { FileEntry } from '../fetch/entry.ts'
import { fetchFiles } from '../fetch/fetch-files.ts'
import { rangeBytes } from '../fetch/plan-ranges.ts'
import type { FetchTotals } from '../fetch/totals.ts'
import { bootId } from '../fs/boot-id.ts'
import { makePath } from '../fs/make-path.ts'
import { freeSpace } from '../fs/space.ts'
import { type CommitDataFile, fileKey } from '../manifest/checkpoint.ts'
import type { Progress } from '../progress.ts'
import { type LogPlace, placeUrl } from './log.ts'
import { crcOfFile } from './upload-source.ts'

export interface FetchJob {
  place: LogPlace
  /** DIR/.longshore/restore-…: `files` is filled, `parts` and `journals` hold what is under way. */
  folder: string
  memory: number
  partSize?: number | undefined
  signal: AbortSignal
  progress: Progress
}

/**
 * Brings files into `<folder>/files`, each checked against the commit's CRC-32. Continues what a killed restore of
 * the same commit left there. NO_SPACE before the first byte when they can't fit.
 */
export async function fetchCheckpoint(files: readonly CommitDataFile[], job: FetchJob): Promise<FetchTotals> {
  const { folder, place, signal, progress } = job
  const root = join(folder, 'files')
  const staging = join(folder, 'parts')
  const journals = join(folder, 'journals')
  await checkSpace(files, folder)
  for (const path of [root, staging, journals]) await makePath(path)
  const crcs = new Map(files.map((file) => [file.path, file]))
  const { umask } = process
  return fetchFiles([files.map(entryOf)], {
    engine: place.engine,
    store: place.store,
    prefix: place.prefix,
    url: placeUrl(place),
    root,
    hidden: true,
    staging,
    journals,
    part: rangeBytes(job.partSize, job.memory),
    streams: job.partSize === undefined,
    boot: await bootId(),
    modes: { dir: 0o777 & ~umask(), file: 0o600, data: 0o600 },
    verify: 'checksum',
    async reuse(entry, final) {
      const file = crcs.get(entry.path)
      return file && (await isWhole(final, file, signal)) ? 'kept' : undefined
    },
    progress,
    signal,
  })
}

/** Read, not believed: a file of before a power cut may be full of zeros. */
async function isWhole(path: string, file: CommitDataFile, signal: AbortSignal): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined)
  if (!there?.isFile() || there.size !== file.size) return false
  const crc = await crcOfFile(path, { size: file.size, signal })
  return crc !== undefined && crcHex(crc) === file.crc32
}

async function checkSpace(files: readonly CommitDataFile[], folder: string): Promise<void> {
  const dir = dirname(dirname(folder))
  const free = await freeSpace(dir)
  const bytes = files.reduce((sum, f) => sum + Math.ceil(f.size / free.block) * free.block, 0)
  const missing = bytes - (await usedBelow(folder)) - free.bytes
  const short = missing > 0 ? `${missing} bytes` : files.length > free.inodes ? 'inodes' : undefined
  if (short === undefined) return
  throw new LongshoreError('NO_SPACE', `${dir} is ${short} short for the checkpoint's ${bytes} bytes`, {
    path: dir,
    hint: 'free some space there, or restore into another folder; nothing was fetched',
  })
}

/** bytes on the disk of what an earlier run left: they need no space a second time. */
async function usedBelow(folder: string): Promise<number> {
  let bytes = 0
  if ((await lstat(folder).catch(() => undefined)) === undefined) return 0
  for await (const entry of await opendir(folder, { recursive: true })) {
    if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).blocks * 512
  }
  return bytes
}

function entryOf(file: CommitDataFile): FileEntry {
  const { path, size, crc32 } = file
  return { name: fileKey(file), path, size, etag: '', crc32: Number.parseInt(crc32, 16) }
}

/** Whether an object of the commit is missing or damaged, as opposed to a network that failed. */
export function isDamage(error: unknown): error is LongshoreError {
  return (
    isLongshoreError(error, 'SOURCE_CHANGED') ||
    isLongshoreError(error, 'NOT_FOUND') ||
    isLongshoreError(error, 'INTEGRITY')
  )
}
