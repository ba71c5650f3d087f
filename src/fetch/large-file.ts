import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32, crc32Combine, crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { isSameBoot } from '../fs/boot-id.ts'
import {
  dropJournal,
  type JournalRange,
  type RangeJournal,
  readJournal,
  resumeJournal,
  startJournal,
} from '../manifest/journal.ts'
import { monotonicMs } from '../monotonic.ts'
import type { FileEntry } from './entry.ts'
import { planRanges, type Range } from './plan-ranges.ts'

/** A large file in the making: preallocated under a temporary name, with the journal of its finished ranges. */
export interface LargeFile {
  readonly entry: FileEntry
  readonly temp: string
  /** monotonicMs: ranges that begin to come before it need no CRC-32. */
  readonly sumFrom: number
  /** Ranges that an earlier run finished. */
  readonly kept: readonly JournalRange[]
  /** Ranges that are still to be fetched, as things are. */
  todo(): readonly Range[]
  /** true: that was the last of it. */
  add(range: JournalRange): boolean
  /** Checks the whole, syncs it and gives it its final name. Returns the check its bytes passed. */
  finish(final: string, options: { mode: number; checkCrc: boolean }): Promise<string>
  /** Leaves the file for the next run. */
  close(): void
  /** Leaves nothing. */
  discard(): Promise<void>
}

export interface LargeFileOptions {
  url: string
  /** Folder of temporary files, on the cache's filesystem. */
  staging: string
  journals: string
  part: number
  /** This boot's id: ranges that were written in another one are read again, or have no CRC-32 and don't count. */
  boot: string
  /** Default 5000 */
  unsummedMs?: number | undefined
  signal?: AbortSignal | undefined
}

/**
 * ms from the opening of a file, by each run, in which ranges go without a CRC-32. It would be for another boot only,
 * where fetching them again costs no more than this; and most files, of the largest datasets too, are whole before.
 */
const UNSUMMED_MS = 5000

export async function openLargeFile(entry: FileEntry, options: LargeFileOptions): Promise<LargeFile> {
  const { boot, unsummedMs = UNSUMMED_MS } = options
  // Where all of it has a CRC-32 to be, each range has to have one; nor is anything believed where boots have no name.
  const summed = entry.crc32 !== undefined || boot === ''
  const { temp, journalPath, identity } = placesOf(entry, options)
  const old = resumeJournal(journalPath, identity)
  let journal: RangeJournal
  if (old && (await sizeOf(temp)) === entry.size) {
    journal = old
    if (!isSameBoot(old.boot, boot)) {
      old.close()
      const good = await readAgain(temp, old.done.values(), options.signal)
      journal = await startJournal(journalPath, identity, { boot, done: good })
    }
  } else {
    old?.close()
    // In this order: a journal must never vouch for a temporary file that is younger than itself.
    await dropJournal(journalPath)
    await rm(temp, { force: true })
    const file = await open(temp, 'wx', 0o600)
    try {
      await file.truncate(entry.size)
    } finally {
      await file.close()
    }
    journal = await startJournal(journalPath, identity, { boot })
  }
  const todo = () => [...planRanges(entry.size, options.part, journal.done.values())]
  let left = todo().reduce((sum, range) => sum + range.length, 0)
  const discard = async (): Promise<void> => {
    journal.close()
    await dropJournal(journalPath)
    await rm(temp, { force: true })
  }
  return {
    entry,
    temp,
    sumFrom: summed ? 0 : monotonicMs() + unsummedMs,
    kept: [...journal.done.values()],
    todo,
    add(range) {
      journal.add(range)
      left -= range.length
      return left === 0
    },
    async finish(final, { mode, checkCrc }) {
      journal.close()
      if (checkCrc && entry.crc32 !== undefined) {
        const crc = combine(journal.done)
        if (crc !== entry.crc32) {
          // Nothing says which range is wrong: none is kept.
          await discard()
          throw new LongshoreError(
            'INTEGRITY',
            `${options.url}${entry.name}: CRC-32 is ${crc === undefined ? 'unknown' : crcHex(crc)}, the manifest says ${crcHex(entry.crc32)}`,
            { path: `${options.url}${entry.name}`, hint: 'run again; if it stays, pack that dataset anew' },
          )
        }
      }
      try {
        await seal(temp, mode)
      } catch (error) {
        // The kernel tells only once that it could not write: the next fsync would succeed over bytes that are lost.
        await discard()
        throw error
      }
      await rename(temp, final)
      await dropJournal(journalPath)
      return checkOf(journal.done.values(), checkCrc && entry.crc32 !== undefined)
    },
    close: () => journal.close(),
    discard,
  }
}

type Places = Pick<LargeFileOptions, 'staging' | 'journals'>

/** Its last mode, and all of it on the disk. */
async function seal(path: string, mode: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** bytes of a large file that an earlier run left behind, as far as they count in this boot: they need no space again. */
export function partialBytes(entry: FileEntry, places: Places & { boot: string }): number {
  const { temp, journalPath, identity } = placesOf(entry, places)
  if (!existsSync(journalPath) || !existsSync(temp)) return 0
  const journal = readJournal(journalPath, identity)
  if (journal === undefined) return 0
  const trusted = isSameBoot(journal.boot, places.boot)
  const counts = (range: JournalRange) => trusted || range.crc32 !== undefined
  return [...journal.done.values()].filter(counts).reduce((sum, range) => sum + range.length, 0)
}

function placesOf(entry: FileEntry, { staging, journals }: Places) {
  const name = createHash('sha256').update(entry.path).digest('hex').slice(0, 32)
  return {
    temp: join(staging, `${name}.part`),
    journalPath: join(journals, `${name}.ranges`),
    identity: { key: entry.name, size: entry.size, etag: tag(entry) },
  }
}

/** Packed files have no ETag in the manifest: their CRC identifies them better. */
function tag(entry: FileEntry): string {
  return entry.crc32 === undefined ? entry.etag : `crc32:${crcHex(entry.crc32)}`
}

/** undefined: not all of them have one. */
function combine(done: ReadonlyMap<number, JournalRange>): number | undefined {
  let crc = 0
  for (const range of [...done.values()].sort((a, b) => a.offset - b.offset)) {
    if (range.crc32 === undefined) return undefined
    crc = crc32Combine(crc, range.crc32, range.length)
  }
  return crc
}

/** The weakest check of any range: one range without a checksum makes it 'size'. */
function checkOf(ranges: Iterable<JournalRange>, whole: boolean): string {
  if (whole) return 'crc32'
  const checks = new Set([...ranges].map((r) => r.check))
  return checks.size === 1 ? ([...checks][0] ?? 'size') : 'size'
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const stat = await lstat(path)
    return stat.isFile() ? stat.size : undefined
  } catch {
    return undefined
  }
}

/** After a reboot: what the page cache held may be gone, only ranges whose bytes are really there count. */
async function readAgain(
  path: string,
  ranges: Iterable<JournalRange>,
  signal: AbortSignal | undefined,
): Promise<JournalRange[]> {
  const good: JournalRange[] = []
  const file = await open(path, 'r')
  try {
    for (const range of ranges) {
      signal?.throwIfAborted()
      if (range.crc32 !== undefined && (await crcOf(file, range)) === range.crc32) good.push(range)
    }
  } finally {
    await file.close()
  }
  return good
}

const READ_BYTES = 1024 * 1024

/** CRC-32 of a range of an open file; undefined when the file ends before it does. */
export async function crcOf(file: FileHandle, { offset, length }: Range): Promise<number | undefined> {
  const buffer = Buffer.allocUnsafe(Math.min(length, READ_BYTES))
  let crc = 0
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.length, length - at), offset + at)
    if (bytesRead === 0) return undefined
    crc = crc32(buffer.subarray(0, bytesRead), crc)
    at += bytesRead
  }
  return crc
}
