import { dirname, join } from 'node:path'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { Amount } from '../fs/amount.ts'
import { diskError } from '../fs/disk-error.ts'
import { type Modes, makeFolder } from '../fs/make-folder.ts'
import type { Progress } from '../progress.ts'
import type { ObjectStore } from '../s3/store.ts'
import { BLOCK_BYTES, type Engine, type Transfer, type TransferDone } from '../transfer/types.ts'
import type { FileEntry } from './entry.ts'
import { type LargeFile, openLargeFile } from './large-file.ts'
import { blocksOf, type Range } from './plan-ranges.ts'

export interface FetchOptions {
  engine: Engine
  store: ObjectStore
  prefix: string
  /** Of the source, for messages; ends in '/'. */
  url: string
  /** The version's folder: files appear in it only whole. */
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
  /** Puts it there without a fetch (it is there already, or an older version has it); undefined: it must be fetched. */
  reuse: (
    entry: FileEntry,
    final: string,
    ensureFolder: (path: string) => Promise<void>,
  ) => Promise<'kept' | 'linked' | undefined>
  /** CRC-32 of each 8 MiB block of a large file, where known. */
  blocks?: ((entry: FileEntry) => Promise<readonly number[] | undefined>) | undefined
  /** Told of each range whose bytes are in `temp` and checked, those of an earlier run included. */
  onRange?: ((entry: FileEntry, temp: string, range: Range) => void) | undefined
  /** Told of what is on the disk now that was not before. */
  onWrote?: ((part: Amount) => void) | undefined
  progress: Progress
  signal: AbortSignal
}

export interface FetchTotals {
  fetched: Amount
  kept: Amount
  linked: Amount
  /** Files by the check that their fetched bytes passed. */
  checks: Record<string, number>
}

/** Large files that are synced and renamed at once; more wait, so the plan never runs away from the disk. */
const FINISHING = 4
/** Folders remembered as made: enough for a walk in sorted order, whatever the number of folders. */
const KNOWN_FOLDERS = 4096

type Pending = { file?: LargeFile; entry: FileEntry; range: Range }

/**
 * Fetches the files that `reuse` does not give, all through the engine. Small ones go whole, large ones in ranges
 * with a journal. The first failure ends it: what is finished stays, ranges that are done stay journaled.
 */
export async function fetchFiles(
  entries: AsyncIterable<FileEntry> | Iterable<FileEntry>,
  options: FetchOptions,
): Promise<FetchTotals> {
  const { engine, store, progress, signal } = options
  const totals = noTotals()
  const storeId = engine.attach(store)
  const small = Math.min(BLOCK_BYTES, options.part)
  const pending = new Map<number, Pending>()
  const open = new Set<LargeFile>()
  const finishing = new Set<Promise<void>>()
  const failure = new AbortController()
  const ensureFolder = createFolderMaker(options)
  let ids = 0

  const count = (entry: FileEntry, check: string): void => {
    totals.fetched.files++
    totals.fetched.bytes += entry.size
    const name = options.verify === 'checksum' ? check : options.verify
    totals.checks[name] = (totals.checks[name] ?? 0) + 1
  }
  const startFinish = (file: LargeFile): void => {
    const final = join(options.root, file.entry.path)
    const work = file
      .finish(final, { mode: options.modes.data, checkCrc: options.verify === 'checksum' })
      .then((check) => {
        open.delete(file)
        count(file.entry, check)
        progress.done({ objects: 1 })
        options.onWrote?.({ files: 1, bytes: 0 })
      })
      .catch((error: unknown) => failure.abort(diskError(error, final)))
      .finally(() => finishing.delete(work))
    finishing.add(work)
  }
  const onDone = (result: TransferDone): void => {
    const item = pending.get(result.id)
    if (!item) return
    pending.delete(result.id)
    const { entry, file, range } = item
    const wrote = { bytes: range.length, files: file ? 0 : 1 }
    progress.done({ bytes: wrote.bytes, objects: wrote.files })
    options.onWrote?.(wrote)
    const check = Object.keys(result.checks)[0] ?? 'size'
    const crcKnown = entry.crc32 !== undefined
    if (!file) {
      count(entry, crcKnown ? 'crc32' : check)
      return
    }
    const last = file.add({ ...range, crc32: result.crc32, check })
    options.onRange?.(entry, file.temp, range)
    if (last) startFinish(file)
  }

  let planEnded: Promise<void> | undefined
  async function* plan(): AsyncGenerator<Transfer> {
    let ended = (): void => {}
    planEnded = new Promise((resolve) => {
      ended = resolve
    })
    try {
      yield* transfers()
    } finally {
      ended()
    }
  }
  async function* transfers(): AsyncGenerator<Transfer> {
    for await (const entry of entries) {
      failure.signal.throwIfAborted()
      const final = join(options.root, entry.path)
      const reused = await options.reuse(entry, final, ensureFolder)
      if (reused) {
        totals[reused].files++
        totals[reused].bytes += entry.size
        progress.done({ bytes: entry.size, objects: 1 })
        continue
      }
      await ensureFolder(dirname(final))
      if (entry.size <= small) {
        const id = ids++
        const range = { offset: 0, length: entry.size }
        pending.set(id, { entry, range })
        const temp = join(options.staging, `${id}.whole`)
        const to = { kind: 'whole', temp, path: final, mode: options.modes.data, durable: false } as const
        const known = options.verify === 'checksum' && entry.crc32 !== undefined
        yield {
          id,
          length: entry.size,
          pieces: pieces(entry, range),
          to,
          ...(known && { expectCrcs: [entry.crc32 ?? 0] }),
        }
        continue
      }
      while (finishing.size >= FINISHING) await Promise.race(finishing)
      const file = await openLargeFile(entry, options)
      open.add(file)
      for (const range of file.kept) {
        progress.done({ bytes: range.length })
        options.onRange?.(entry, file.temp, range)
      }
      if (file.todo.length === 0) startFinish(file)
      const blocks = options.verify === 'checksum' ? await options.blocks?.(entry) : undefined
      for (const range of file.todo) {
        failure.signal.throwIfAborted()
        const id = ids++
        pending.set(id, { entry, file, range })
        yield {
          id,
          length: range.length,
          pieces: pieces(entry, range),
          to: { kind: 'file', path: file.temp, offset: range.offset },
          expectCrcs: blocksOf(blocks, range, entry.size),
        }
      }
    }
  }
  const pieces = (entry: FileEntry, { offset, length }: Range) => {
    if (length === 0) return []
    const key = options.prefix + entry.name
    return [
      {
        kind: 'object',
        at: 0,
        length,
        store: storeId,
        key,
        offset,
        size: entry.size,
        etag: entry.etag,
      } as const,
    ]
  }

  try {
    await engine.run(plan(), {
      signal: AbortSignal.any([signal, failure.signal]),
      onResult(result) {
        if (!result.ok) throw sourceChanged(result.error, pending.get(result.id)?.entry, options.url)
        onDone(result)
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

function createFolderMaker(owner: { modes: Modes }): (path: string) => Promise<void> {
  let known = new Set<string>()
  return async (path) => {
    if (known.has(path)) return
    await makeFolder(owner, path)
    if (known.size >= KNOWN_FOLDERS) known = new Set()
    known.add(path)
  }
}

export function noTotals(): FetchTotals {
  const none = (): Amount => ({ files: 0, bytes: 0 })
  return { fetched: none(), kept: none(), linked: none(), checks: {} }
}

/** Adds `part` to `totals`. */
export function addTotals(totals: FetchTotals, part: FetchTotals): void {
  for (const how of ['fetched', 'kept', 'linked'] as const) {
    totals[how].files += part[how].files
    totals[how].bytes += part[how].bytes
  }
  for (const [check, n] of Object.entries(part.checks)) totals.checks[check] = (totals.checks[check] ?? 0) + n
}
