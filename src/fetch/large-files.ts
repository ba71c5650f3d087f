import { join } from 'node:path'
import { diskError } from '../fs/disk-error.ts'
import type { JournalRange } from '../manifest/journal.ts'
import { openTurns } from '../transfer/turns.ts'
import type { ObjectPiece, Transfer, TransferDone } from '../transfer/types.ts'
import type { FileEntry } from './entry.ts'
import type { FetchOptions } from './fetch-files.ts'
import { type LargeFile, openLargeFile } from './large-file.ts'
import { blocksOf, type Range } from './plan-ranges.ts'

/** Large files that are fetched side by side: their bytes are written by several threads, each file's by one. */
export const ABREAST = 4
/** Large files that are synced and renamed at once: the pool has four threads, and the others' bytes need some. */
const FINISHING = 2

/** The large files of one fetch: as streams while that is worth it, else range by range, each file's in order. */
export interface LargeFiles {
  /** Files that more bytes are awaited of. */
  readonly open: number
  /** So many are being finished that another one should not be opened. */
  readonly crowded: boolean
  /** Opens one. Its transfer, where it comes as a stream; else its ranges are among the next. */
  add(entry: FileEntry): Promise<Transfer | undefined>
  /** The next range of each file that has one. */
  next(): Transfer[]
  /** Resolves at once where there are ranges, else when a stream has ended: those of its rest may be next. */
  ready(): Promise<void>
  /** false: this was no transfer of theirs. */
  done(result: TransferDone): boolean
  /** Of a transfer of theirs. */
  entryOf(id: number): FileEntry | undefined
  /** All that were complete have their names. */
  finished(): Promise<unknown>
  /** Leaves what is not complete for the next run, or (`discard`) nothing. */
  leave(discard: boolean): Promise<void>
}

export interface LargeFilesOptions extends FetchOptions {
  /** Aborted by the first failure, of a file that is being finished too. */
  failure: AbortController
  nextId(): number
  pieces(entry: FileEntry, range: Range): ObjectPiece[]
  /** Told of a file that has its name; `check`: what its bytes passed. */
  fetched(entry: FileEntry, check: string): void
}

export function openLargeFiles(options: LargeFilesOptions): LargeFiles {
  const { engine, failure, nextId, pieces, progress } = options
  const ranges = new Map<number, { file: LargeFile; range: Range }>()
  const streams = new Map<number, { file: LargeFile; bytes: number }>()
  /** What is not finished, and the CRC-32 of each block, where known. */
  const making = new Map<LargeFile, readonly number[] | undefined>()
  const finishing = new Set<Promise<void>>()
  const turns = openTurns(FINISHING)
  let abreast: Iterator<Transfer>[] = []
  let worthStreams = engine.streams && options.streams !== false
  let wake = (): void => {}
  failure.signal.addEventListener('abort', () => wake(), { once: true })

  const startFinish = (file: LargeFile): void => {
    const final = join(options.root, file.entry.path)
    const how = { mode: options.modes.data, checkCrc: options.verify === 'checksum' }
    const work = turns(failure.signal, () => file.finish(final, how))
      .then((check) => {
        making.delete(file)
        options.fetched(file.entry, check)
        progress.done({ objects: 1 })
        options.onWrote?.({ files: 1, bytes: 0 })
      })
      .catch((error: unknown) => failure.abort(diskError(error, final)))
      .finally(() => finishing.delete(work))
    finishing.add(work)
  }
  const arrived = (file: LargeFile, range: JournalRange): void => {
    // Before anybody is told: what was told of is kept, whatever is killed next.
    const last = file.add(range)
    progress.done({ bytes: range.length })
    options.onWrote?.({ bytes: range.length, files: 0 })
    options.onRange?.(file.entry, file.temp, range)
    if (last) startFinish(file)
  }
  const streamed = (result: TransferDone): boolean => {
    const { id, part, bytes: length } = result
    const stream = streams.get(id)
    if (stream === undefined) return false
    const { file } = stream
    if (part === undefined) {
      streams.delete(id)
      // Where one ended early, the others are not worth more.
      if (stream.bytes < file.entry.size) {
        worthStreams = false
        abreast.push(rangesOf(file))
      }
      wake()
    } else if (part.at === stream.bytes) {
      // Anything else was told before, by a thread that died.
      stream.bytes += length
      arrived(file, { offset: part.at, length, crc32: sumOf(result), check: checkOf(result) })
    }
    return true
  }
  const streamOf = (file: LargeFile): Transfer => {
    const { entry, temp } = file
    const id = nextId()
    streams.set(id, { file, bytes: 0 })
    return {
      ...{ id, length: entry.size, stream: true },
      pieces: pieces(entry, { offset: 0, length: entry.size }),
      to: { kind: 'file', path: temp, offset: 0 },
      expectCrcs: making.get(file),
      sumFrom: file.sumFrom,
    }
  }
  function* rangesOf(file: LargeFile): Generator<Transfer> {
    const { entry } = file
    for (const range of file.todo()) {
      failure.signal.throwIfAborted()
      const id = nextId()
      ranges.set(id, { file, range })
      yield {
        id,
        length: range.length,
        pieces: pieces(entry, range),
        to: { kind: 'file', path: file.temp, offset: range.offset },
        expectCrcs: blocksOf(making.get(file), range, entry.size),
        sumFrom: file.sumFrom,
      }
    }
  }

  return {
    get open() {
      return abreast.length + streams.size
    },
    get crowded() {
      return finishing.size >= ABREAST
    },
    async add(entry) {
      while (finishing.size >= ABREAST) await Promise.race(finishing)
      const file = await openLargeFile(entry, options)
      making.set(file, undefined)
      for (const range of file.kept) {
        progress.done({ bytes: range.length })
        options.onRange?.(entry, file.temp, range)
      }
      if (options.verify === 'checksum') making.set(file, await options.blocks?.(entry))
      if (file.todo().length === 0) startFinish(file)
      else if (worthStreams && file.kept.length === 0) return streamOf(file)
      else abreast.push(rangesOf(file))
      return undefined
    },
    next() {
      const next: Transfer[] = []
      abreast = abreast.filter((ranges) => {
        const { done, value } = ranges.next()
        if (!done) next.push(value)
        return !done
      })
      return next
    },
    async ready() {
      failure.signal.throwIfAborted()
      if (abreast.length > 0) return
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    },
    done(result) {
      const found = ranges.get(result.id)
      if (found === undefined) return streamed(result)
      ranges.delete(result.id)
      arrived(found.file, { ...found.range, crc32: sumOf(result), check: checkOf(result) })
      return true
    },
    entryOf: (id) => (ranges.get(id) ?? streams.get(id))?.file.entry,
    finished: () => Promise.all(finishing),
    async leave(discard) {
      for (const file of making.keys()) discard ? await file.discard() : file.close()
    },
  }
}

/** What the bytes of a transfer of one piece passed. */
export function checkOf({ checks }: Pick<TransferDone, 'checks'>): string {
  for (const check in checks) return check
  return 'size'
}

function sumOf({ blockCrcs, crc32 }: TransferDone): number | undefined {
  return blockCrcs.length === 0 ? undefined : crc32
}
