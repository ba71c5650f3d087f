import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { createSortRun, type SortRecord } from './sort-run.ts'

export interface SpillSortOptions {
  /** An existing folder for the runs; a folder of its own is made in it, and removed at the end. */
  dir: string
  /** bytes held in memory before a run is written out. Default 32 MiB. */
  memory?: number | undefined
  signal?: AbortSignal | undefined
}

/** Runs merged at once: more of them are merged in passes, so file descriptors and read buffers stay bounded. */
const FAN_IN = 64
const READ_BYTES = 64 * 1024

/**
 * Sorts any number of records by the bytes of their key (ties by the bytes of their value) in bounded memory:
 * what does not fit is spilled as sorted runs and merged. Input that comes in order already is one run, whatever
 * its size, and input that fits never touches the disk.
 */
export async function* spillSort(
  records: AsyncIterable<SortRecord> | Iterable<SortRecord>,
  options: SpillSortOptions,
): AsyncGenerator<SortRecord> {
  const { signal } = options
  const run = createSortRun(options.memory ?? 32 * 1024 * 1024)
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
    for await (const record of records) {
      signal?.throwIfAborted()
      if (run.add(record)) continue
      await flush()
      run.clear()
      if (!run.add(record)) throw new RangeError('a record is larger than the memory to sort it in')
    }
    if (runs.length === 0) {
      if (run.length > 0) run.sort()
      for (const record of run.records()) yield record
      return
    }
    if (run.length > 0) await flush()
    run.release()
    const open = runs.at(-1)
    if (open) await finish(open)
    let files = runs.map((r) => r.path)
    while (files.length > FAN_IN) files = await mergePass(files, spill, signal)
    for await (const record of mergeRuns(files)) {
      signal?.throwIfAborted()
      yield record
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
    let batch: Buffer[] = []
    let bytes = 0
    for await (const record of mergeRuns(group)) {
      signal?.throwIfAborted()
      const frame = encodeRecord(record)
      batch.push(frame)
      bytes += frame.length
      if (bytes < 1024 * 1024) continue
      await append(run, [Buffer.concat(batch)])
      batch = []
      bytes = 0
    }
    await append(run, [Buffer.concat(batch)])
    await finish(run)
    for (const file of group) await rm(file)
    merged.push(run.path)
  }
  return merged
}

/** A small binary heap over the heads of the runs; the run's number breaks ties, so the merge is stable. */
async function* mergeRuns(files: readonly string[]): AsyncGenerator<SortRecord> {
  const readers = files.map((file) => readRun(file))
  const heap: { head: SortRecord; run: number }[] = []
  try {
    for (let run = 0; run < readers.length; run++) {
      const first = await readers[run]?.next()
      if (first && !first.done) push(heap, { head: first.value, run })
    }
    for (let top = heap[0]; top !== undefined; top = heap[0]) {
      const { head, run } = top
      yield head
      const next = await readers[run]?.next()
      if (next && !next.done) heap[0] = { head: next.value, run }
      else {
        const tail = heap.pop()
        if (tail === undefined || heap.length === 0) continue
        heap[0] = tail
      }
      sink(heap)
    }
  } finally {
    for (const reader of readers) await reader.return(undefined)
  }
}

type Head = { head: SortRecord; run: number }

function before(a: Head, b: Head): boolean {
  const order = a.head.key.compare(b.head.key) || a.head.value.compare(b.head.value)
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

function encodeRecord({ key, value }: SortRecord): Buffer {
  const frame = Buffer.allocUnsafe(8 + key.length + value.length)
  frame.writeUInt32LE(key.length, 0)
  frame.writeUInt32LE(value.length, 4)
  frame.set(key, 8)
  frame.set(value, 8 + key.length)
  return frame
}

async function* readRun(path: string): AsyncGenerator<SortRecord> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES })) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (rest.length - at >= 8) {
      const middle = at + 8 + rest.readUInt32LE(at)
      const end = middle + rest.readUInt32LE(at + 4)
      if (end > rest.length) break
      yield { key: rest.subarray(at + 8, middle), value: rest.subarray(middle, end) }
      at = end
    }
    rest = rest.subarray(at)
  }
}
