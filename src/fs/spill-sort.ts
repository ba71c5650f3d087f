import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { BATCH_RECORDS, createSortRun, FRAME_HEADER, recordOf, type SortRecord } from './sort-run.ts'

export interface SpillSortOptions {
  /** An existing folder for the runs; a folder of its own is made in it, and removed at the end. */
  dir: string
  /** bytes held in memory before a run is written out. Default 8 MiB. */
  memory?: number | undefined
  signal?: AbortSignal | undefined
}

/** Runs merged at once: more of them are merged in passes, so file descriptors and read buffers stay bounded. */
const FAN_IN = 64
const READ_BYTES = 64 * 1024

/**
 * Sorts any number of records by the bytes of their key (ties by the bytes of their value) in bounded memory:
 * what does not fit is spilled as sorted runs and merged. Input that comes in order already is one run, whatever
 * its size, and input that fits never touches the disk. Both come in batches: of records one by one, most of the
 * time would go into promises.
 */
export async function* spillSort(
  batches: AsyncIterable<readonly SortRecord[]> | Iterable<readonly SortRecord[]>,
  options: SpillSortOptions,
): AsyncGenerator<SortRecord[]> {
  const { signal } = options
  const run = createSortRun(options.memory ?? 8 * 1024 * 1024)
  const spill: Spill = { dir: options.dir, folder: undefined, files: 0 }
  const runs: Run[] = []
  let last: Buffer | undefined
  const flush = async (): Promise<void> => {
    const sorted = run.sort()
    const open = runs.at(-1)
    const follows = open !== undefined && last !== undefined && sorted.first.compare(last) > 0
    last = sorted.last
    if (follows) return await append(open, run.chunks())
    if (open) await finish(open)
    const next = await newRun(spill)
    runs.push(next)
    await append(next, run.chunks())
  }
  try {
    for await (const batch of batches) {
      signal?.throwIfAborted()
      for (const record of batch) {
        if (run.add(record)) continue
        await flush()
        run.clear()
        if (!run.add(record)) throw new RangeError('a record is larger than the memory to sort it in')
      }
    }
    if (runs.length === 0) {
      if (run.length > 0) run.sort()
      yield* run.batches()
      return
    }
    if (run.length > 0) await flush()
    run.release()
    const open = runs.at(-1)
    if (open) await finish(open)
    let files = runs.map((r) => r.path)
    while (files.length > FAN_IN) files = await mergePass(files, spill, signal)
    for await (const frames of mergeRuns(files)) {
      signal?.throwIfAborted()
      yield frames.map(({ bytes, at }) => recordOf(bytes, at))
    }
  } finally {
    for (const one of runs) one.stream.destroy()
    if (spill.folder) await rm(spill.folder, { recursive: true, force: true })
  }
}

interface Spill {
  dir: string
  folder: string | undefined
  files: number
}

interface Run {
  path: string
  stream: ReturnType<typeof createWriteStream>
  failed: Error | undefined
}

async function newRun(spill: Spill): Promise<Run> {
  spill.folder ??= await mkdtemp(join(spill.dir, 'sort-'))
  const path = join(spill.folder, String(spill.files++))
  const stream = createWriteStream(path, { mode: 0o600, highWaterMark: 1024 * 1024 })
  const run: Run = { path, stream, failed: undefined }
  // A full disk is told by an event between two writes: kept, and thrown by the next one.
  stream.on('error', (error) => {
    run.failed = error
  })
  return run
}

async function append(run: Run, chunks: Iterable<Buffer>): Promise<void> {
  for (const chunk of chunks) {
    await new Promise<void>((resolve, reject) => {
      if (run.failed) return reject(run.failed)
      run.stream.write(chunk, (error) => (error ? reject(error) : resolve()))
    })
  }
}

async function finish(run: Run): Promise<void> {
  run.stream.end()
  await finished(run.stream)
}

async function mergePass(files: string[], spill: Spill, signal: AbortSignal | undefined): Promise<string[]> {
  const merged: string[] = []
  for (let from = 0; from < files.length; from += FAN_IN) {
    const group = files.slice(from, from + FAN_IN)
    const run = await newRun(spill)
    for await (const frames of mergeRuns(group)) {
      signal?.throwIfAborted()
      await append(run, [Buffer.concat(frames.map(({ bytes, at, end }) => bytes.subarray(at, end)))])
    }
    await finish(run)
    for (const file of group) await rm(file)
    merged.push(run.path)
  }
  return merged
}

/** A record as it is in a run's file: header, key, value. */
interface Frame {
  bytes: Buffer
  at: number
  value: number
  end: number
}

/** Where a run is being read. */
interface Head {
  run: number
  reader: AsyncGenerator<Frame[]>
  frames: readonly Frame[]
  next: number
  frame: Frame
}

/** A small binary heap over the heads of the runs; the run's number breaks ties, so the merge is stable. */
async function* mergeRuns(files: readonly string[]): AsyncGenerator<Frame[]> {
  const readers = files.map((file) => readRun(file))
  const heap: Head[] = []
  let batch: Frame[] = []
  try {
    for (const [run, reader] of readers.entries()) {
      const { value: frames } = await reader.next()
      if (frames?.[0]) push(heap, { run, reader, frames, next: 1, frame: frames[0] })
    }
    for (let top = heap[0]; top !== undefined; top = heap[0]) {
      batch.push(top.frame)
      if (batch.length >= BATCH_RECORDS) {
        yield batch
        batch = []
      }
      if (top.next === top.frames.length) {
        top.frames = (await top.reader.next()).value ?? []
        top.next = 0
      }
      const frame = top.frames[top.next++]
      if (frame) top.frame = frame
      else {
        const tail = heap.pop()
        if (tail === undefined || heap.length === 0) continue
        heap[0] = tail
      }
      sink(heap)
    }
    if (batch.length > 0) yield batch
  } finally {
    for (const reader of readers) await reader.return(undefined)
  }
}

function before(a: Head, b: Head): boolean {
  const [x, y] = [a.frame, b.frame]
  const order =
    x.bytes.compare(y.bytes, y.at + FRAME_HEADER, y.value, x.at + FRAME_HEADER, x.value) ||
    x.bytes.compare(y.bytes, y.value, y.end, x.value, x.end)
  return order === 0 ? a.run < b.run : order < 0
}

function push(heap: Head[], entry: Head): void {
  heap.push(entry)
  for (let at = heap.length - 1; at > 0; ) {
    const parent = (at - 1) >> 1
    const [child, above] = [heap[at], heap[parent]]
    if (!child || !above || !before(child, above)) return
    heap[at] = above
    heap[parent] = child
    at = parent
  }
}

function sink(heap: Head[]): void {
  for (let at = 0; ; ) {
    let least = at
    for (const child of [2 * at + 1, 2 * at + 2]) {
      const [a, b] = [heap[child], heap[least]]
      if (a && b && before(a, b)) least = child
    }
    const [a, b] = [heap[at], heap[least]]
    if (least === at || !a || !b) return
    heap[at] = b
    heap[least] = a
    at = least
  }
}

/** Never an empty batch. */
async function* readRun(path: string): AsyncGenerator<Frame[]> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
    const bytes: Buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const frames: Frame[] = []
    let at = 0
    while (bytes.length - at >= FRAME_HEADER) {
      const value = at + FRAME_HEADER + bytes.readUInt32LE(at)
      const end = value + bytes.readUInt32LE(at + 4)
      if (end > bytes.length) break
      frames.push({ bytes, at, value, end })
      at = end
    }
    rest = bytes.subarray(at)
    if (frames.length > 0) yield frames
  }
}
