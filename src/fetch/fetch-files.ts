import { join } from 'node:path'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { Amount } from '../fs/amount.ts'
import { diskError } from '../fs/disk-error.ts'
import type { Modes } from '../fs/make-folder.ts'
import type { Progress } from '../progress.ts'
import type { ObjectStore } from '../s3/store.ts'
import { openTurns } from '../transfer/turns.ts'
import {
  BLOCK_BYTES,
  type Engine,
  type ObjectPiece,
  type Transfer,
  type TransferDone,
} from '../transfer/types.ts'
import type { FileEntry } from './entry.ts'
import { createFolderMaker } from './folder-maker.ts'
import { type LargeFile, openLargeFile } from './large-file.ts'
import { blocksOf, type Range } from './plan-ranges.ts'
import { countCheck, countFile, type FetchTotals, noTotals } from './totals.ts'

export interface FetchOptions {
  engine: Engine
  store: ObjectStore
  prefix: string
  /** Of the source, for messages; ends in '/'. */
  url: string
  /** The version's folder: files appear in it only whole. Absolute. */
  root: string
  /** Temporary files and journals of this version, on the same filesystem. Both exist. */
  staging: string
  journals: string
  /** bytes a range of a large object */
  part: number
  boot: string
  /** Modes of what is made in it. */
  modes: Modes
  verify: 'checksum' | 'size' | 'none'
  /**
   * Puts it there without a fetch (it is there already, or an older version has it); undefined: it must be fetched.
   * Absent: nothing is there, and nobody is asked a million times.
   */
  reuse?: Reuse | undefined
  /** CRC-32 of each 8 MiB block of a large file, where known. */
  blocks?: ((entry: FileEntry) => Promise<readonly number[] | undefined>) | undefined
  /** Told of each range whose bytes are in `temp` and checked, those of an earlier run included. */
  onRange?: ((entry: FileEntry, temp: string, range: Range) => void) | undefined
  /** Told of what is on the disk now that was not before. */
  onWrote?: ((part: Amount) => void) | undefined
  progress: Progress
  signal: AbortSignal
}

export type Reuse = (
  entry: FileEntry,
  final: string,
  ensureFolder: (path: string) => Promise<void> | undefined,
) => Promise<Reused | undefined> | Reused | undefined

export type Reused = 'kept' | 'linked'

/** Large files that are fetched side by side: their bytes are written by several threads, each file's by one. */
const ABREAST = 4
/** Large files that are synced and renamed at once: the pool has four threads, and the others' bytes need some. */
const FINISHING = 2

/** Small files that are handed on at once. */
const PLANNED = 64

/**
 * Fetches the files that `reuse` does not give, all through the engine. Small ones go whole, large ones in ranges
 * with a journal. The first failure ends it: what is finished stays, ranges that are done stay journaled.
 */
export async function fetchFiles(
  batches: AsyncIterable<readonly FileEntry[]> | Iterable<readonly FileEntry[]>,
  options: FetchOptions,
): Promise<FetchTotals> {
  const { engine, progress, signal } = options
  const totals = noTotals()
  const store = engine.attach(options.store)
  const small = Math.min(BLOCK_BYTES, options.part)
  /** What is in flight, by the transfer's number: whole files, and ranges of large ones. */
  const wholes = new Map<number, FileEntry>()
  const ranges = new Map<number, { file: LargeFile; range: Range }>()
  const open = new Set<LargeFile>()
  const finishing = new Set<Promise<void>>()
  const turns = openTurns(FINISHING)
  const failure = new AbortController()
  const ensureFolder = createFolderMaker(options)
  let ids = 0

  const fetched = (entry: FileEntry, check: string): void => {
    countFile(totals.fetched, entry)
    countCheck(totals, options.verify === 'checksum' ? check : options.verify)
  }
  const startFinish = (file: LargeFile): void => {
    const final = join(options.root, file.entry.path)
    const how = { mode: options.modes.data, checkCrc: options.verify === 'checksum' }
    const work = turns(failure.signal, () => file.finish(final, how))
      .then((check) => {
        open.delete(file)
        fetched(file.entry, check)
        progress.done({ objects: 1 })
        options.onWrote?.({ files: 1, bytes: 0 })
      })
      .catch((error: unknown) => failure.abort(diskError(error, final)))
      .finally(() => finishing.delete(work))
    finishing.add(work)
  }
  const onDone = (result: TransferDone): void => {
    const check = firstOf(result.checks)
    const whole = wholes.get(result.id)
    if (whole) {
      wholes.delete(result.id)
      fetched(whole, whole.crc32 === undefined ? check : 'crc32')
      progress.done({ bytes: whole.size, objects: 1 })
      options.onWrote?.({ bytes: whole.size, files: 1 })
      return
    }
    const part = ranges.get(result.id)
    if (!part) return
    ranges.delete(result.id)
    const { file, range } = part
    // Before anybody is told: what was told of is kept, whatever is killed next.
    const last = file.add({ ...range, crc32: result.crc32, check })
    progress.done({ bytes: range.length })
    options.onWrote?.({ bytes: range.length, files: 0 })
    options.onRange?.(file.entry, file.temp, range)
    if (last) startFinish(file)
  }

  let planEnded: Promise<void> | undefined
  // Nothing is awaited for a small file that needs nothing: there may be millions of them.
  async function* transfers(): AsyncGenerator<Transfer | Transfer[]> {
    let ended = (): void => {}
    planEnded = new Promise((resolve) => {
      ended = resolve
    })
    try {
      for await (const batch of batches) {
        for (const entry of batch) {
          failure.signal.throwIfAborted()
          const final = `${options.root}/${entry.path}`
          const asked = options.reuse?.(entry, final, ensureFolder)
          const reused = asked instanceof Promise ? await asked : asked
          if (reused) {
            countFile(totals[reused], entry)
            progress.done({ bytes: entry.size, objects: 1 })
            continue
          }
          const making = ensureFolder(final.slice(0, final.lastIndexOf('/')))
          if (making) await making
          const isSmall = entry.size <= small
          if (isSmall) planned.push(whole(entry, final))
          else {
            // What is open already goes on while others are synced.
            while (finishing.size >= ABREAST && abreast.length > 0) yield step()
            abreast.push(await openRanges(entry))
          }
          while (planned.length >= PLANNED || abreast.length >= ABREAST) yield step()
        }
        if (planned.length > 0) yield planned.splice(0)
      }
      while (abreast.length > 0) yield step()
    } finally {
      ended()
    }
  }
  const whole = (entry: FileEntry, path: string): Transfer => {
    const id = ids++
    wholes.set(id, entry)
    const known = options.verify === 'checksum' ? entry.crc32 : undefined
    const temp = `${options.staging}/${id}.whole`
    return {
      id,
      length: entry.size,
      pieces: pieces(entry, { offset: 0, length: entry.size }),
      to: { kind: 'whole', temp, path, mode: options.modes.data, durable: false },
      expectCrcs: known === undefined ? undefined : [known],
    }
  }
  const planned: Transfer[] = []
  let abreast: Iterator<Transfer>[] = []
  /** The small files that are planned, and the next range of each large one that has one. */
  const step = (): Transfer[] => {
    const next = planned.splice(0)
    abreast = abreast.filter((ranges) => {
      const { done, value } = ranges.next()
      if (!done) next.push(value)
      return !done
    })
    return next
  }
  const openRanges = async (entry: FileEntry): Promise<Iterator<Transfer>> => {
    while (finishing.size >= ABREAST) await Promise.race(finishing)
    const file = await openLargeFile(entry, options)
    open.add(file)
    for (const range of file.kept) {
      progress.done({ bytes: range.length })
      options.onRange?.(entry, file.temp, range)
    }
    if (file.todo.length === 0) startFinish(file)
    const blocks = options.verify === 'checksum' ? await options.blocks?.(entry) : undefined
    return ranged(file, blocks)
  }
  function* ranged(file: LargeFile, blocks: readonly number[] | undefined): Generator<Transfer> {
    const { entry } = file
    for (const range of file.todo) {
      failure.signal.throwIfAborted()
      const id = ids++
      ranges.set(id, { file, range })
      yield {
        id,
        length: range.length,
        pieces: pieces(entry, range),
        to: { kind: 'file', path: file.temp, offset: range.offset },
        expectCrcs: blocksOf(blocks, range, entry.size),
      }
    }
  }
  const pieces = ({ name, size, etag }: FileEntry, { offset, length }: Range): ObjectPiece[] => {
    if (length === 0) return []
    return [{ kind: 'object', at: 0, length, store, key: options.prefix + name, offset, size, etag }]
  }

  try {
    await engine.run(transfers(), {
      signal: AbortSignal.any([signal, failure.signal]),
      onResult(result) {
        if (result.ok) return onDone(result)
        const entry = wholes.get(result.id) ?? ranges.get(result.id)?.file.entry
        throw sourceChanged(result.error, entry, options.url)
      },
    })
    await Promise.all(finishing)
    failure.signal.throwIfAborted()
    return totals
  } catch (error) {
    // The engine does not wait for a plan that is in the middle of a step: it must not open a file after the lock is gone.
    if (!failure.signal.aborted) failure.abort(error)
    await planEnded
    await Promise.all(finishing)
    const cause = signal.aborted ? signal.reason : failure.signal.reason
    const told = diskError(cause, options.root)
    // On a full disk, half a file only keeps the next run from its space.
    const full = isLongshoreError(told, 'NO_SPACE')
    for (const file of open) full ? await file.discard() : file.close()
    throw told
  }
}

/** The listing saw it: if it is not there any more, the source changed, and a plain "not found" would mislead. */
function sourceChanged(error: LongshoreError, entry: FileEntry | undefined, url: string): LongshoreError {
  if (error.code !== 'NOT_FOUND' || !entry) return error
  const path = url + entry.name
  return new LongshoreError('SOURCE_CHANGED', `${path}: deleted since it was listed`, {
    path,
    cause: error,
    hint: 'run again: the source is listed anew',
  })
}

function firstOf(checks: TransferDone['checks']): string {
  for (const check in checks) return check
  return 'size'
}
