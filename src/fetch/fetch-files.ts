import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { Amount } from '../fs/amount.ts'
import { diskError } from '../fs/disk-error.ts'
import type { Modes } from '../fs/make-folder.ts'
import type { Progress } from '../progress.ts'
import type { ObjectStore } from '../s3/store.ts'
import {
  BLOCK_BYTES,
  type Engine,
  type ObjectPiece,
  type Transfer,
  type TransferDone,
} from '../transfer/types.ts'
import type { FileEntry } from './entry.ts'
import { createFolderMaker } from './folder-maker.ts'
import { ABREAST, checkOf, openLargeFiles } from './large-files.ts'
import type { Range } from './plan-ranges.ts'
import { countCheck, countFile, type FetchTotals, noTotals } from './totals.ts'

export interface FetchOptions {
  engine: Engine
  store: ObjectStore
  prefix: string
  /** Of the source, for messages; ends in '/'. */
  url: string
  /** The version's folder: files appear in it only whole, unless it is `hidden`. Absolute. */
  root: string
  /**
   * Nobody looks into `root` before it is whole: small files are written under their own names, which is a third
   * fewer calls. Killed, such a file is shorter than it should be: whoever keeps what is there has to look.
   */
  hidden?: boolean | undefined
  /** Temporary files and journals of this version, on the same filesystem. Both exist. */
  staging: string
  journals: string
  /** bytes a range of a large object */
  part: number
  /** Large objects may come as streams, where the engine says that this is cheaper. Default true */
  streams?: boolean | undefined
  boot: string
  /** See LargeFileOptions. */
  unsummedMs?: number | undefined
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
  const wholes = new Map<number, FileEntry>()
  const failure = new AbortController()
  const ensureFolder = createFolderMaker(options)
  let ids = 0
  const fetched = (entry: FileEntry, check: string): void => {
    countFile(totals.fetched, entry)
    countCheck(totals, options.verify === 'checksum' ? check : options.verify)
  }
  const pieces = ({ name, size, etag }: FileEntry, { offset, length }: Range): ObjectPiece[] => {
    if (length === 0) return []
    return [{ kind: 'object', at: 0, length, store, key: options.prefix + name, offset, size, etag }]
  }
  const large = openLargeFiles({ ...options, failure, pieces, fetched, nextId: () => ids++ })
  const onDone = (result: TransferDone): void => {
    const whole = wholes.get(result.id)
    if (!whole) {
      large.done(result)
      return
    }
    wholes.delete(result.id)
    fetched(whole, whole.crc32 === undefined ? checkOf(result) : 'crc32')
    progress.done({ bytes: whole.size, objects: 1 })
    options.onWrote?.({ bytes: whole.size, files: 1 })
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
          if (entry.size <= small) planned.push(whole(entry, final))
          else {
            // What is open already goes on while others are synced.
            while (large.crowded && large.open > 0) yield await step()
            const stream = await large.add(entry)
            if (stream) yield stream
          }
          while (planned.length >= PLANNED || large.open >= ABREAST) yield await step()
        }
        if (planned.length > 0) yield planned.splice(0)
      }
      while (large.open > 0) yield await step()
    } finally {
      ended()
    }
  }
  const whole = (entry: FileEntry, path: string): Transfer => {
    const id = ids++
    wholes.set(id, entry)
    const known = options.verify === 'checksum' ? entry.crc32 : undefined
    // Of an empty file nothing tells that its mode is missing still.
    const direct = options.hidden === true && entry.size > 0
    const temp = direct ? undefined : `${options.staging}/${id}.whole`
    return {
      id,
      length: entry.size,
      pieces: pieces(entry, { offset: 0, length: entry.size }),
      to: { kind: 'whole', temp, path, mode: options.modes.data, durable: false },
      expectCrcs: known === undefined ? undefined : [known],
    }
  }
  const planned: Transfer[] = []
  /** The small files that are planned, and the next range of each large one that has one. */
  const step = async (): Promise<Transfer[]> => {
    if (planned.length === 0) await large.ready()
    return [...planned.splice(0), ...large.next()]
  }

  try {
    await engine.run(transfers(), {
      signal: AbortSignal.any([signal, failure.signal]),
      onResult(result) {
        if (result.ok) return onDone(result)
        const entry = wholes.get(result.id) ?? large.entryOf(result.id)
        throw sourceChanged(result.error, entry, options.url)
      },
    })
    await large.finished()
    failure.signal.throwIfAborted()
    return totals
  } catch (error) {
    // The engine does not wait for a plan that is in the middle of a step: it must not open a file after the lock is gone.
    if (!failure.signal.aborted) failure.abort(error)
    await planEnded
    await large.finished()
    const cause = signal.aborted ? signal.reason : failure.signal.reason
    const told = diskError(cause, options.root)
    // On a full disk, half a file only keeps the next run from its space.
    await large.leave(isLongshoreError(told, 'NO_SPACE'))
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
