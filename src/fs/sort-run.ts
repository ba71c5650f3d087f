/** One record of a sort: ordered by the UTF-8 bytes of `key`, then by those of `value`. */
export interface SortRecord {
  key: string
  value: string
}

export interface SortRun {
  readonly length: number
  /** false: it is full, and the record was not taken. */
  add(record: SortRecord): boolean
  sort(): { first: Buffer; last: Buffer }
  /** The records in order, BATCH_RECORDS at a time. */
  batches(): Iterable<SortRecord[]>
  /**
   * The same as frames (u32le key length, u32le value length, key, value), about 1 MiB a chunk. A chunk's memory is
   * used again: it is good until the next one is asked for.
   */
  chunks(): Iterable<Buffer>
  clear(): void
  /** Gives the memory back; add() takes nothing afterwards. */
  release(): void
}

/** Records that are handed on at once: a promise a batch is nothing. */
export const BATCH_RECORDS = 1000
/** bytes before the key of a frame */
export const FRAME_HEADER = 8
/** bytes of a key that a number holds exactly */
const HEAD_BYTES = 6
const CHUNK_BYTES = 1024 * 1024
/**
 * The GNU libc gives pages of their own to what is so large, and takes nothing from it. What is smaller, once it is
 * freed, becomes the size up to which all else is cut out of heaps, and up to twice of which their ends are kept: a
 * pack that had sorted in 8 MiB needed 30 MiB more from then on, for gaps between the buffers of its parts.
 */
const OWN_PAGES_BYTES = 33 * 1024 * 1024
/** Most sorts never need more; so large a piece of memory at once makes V8 collect twice, 10 ms of a short command. */
const FIRST_BYTES = 64 * 1024

/**
 * A batch of records in one arena, sorted in place by an index of offsets: an object a record would cost more than
 * the record.
 */
export function createSortRun(memory: number): SortRun {
  let arena = Buffer.allocUnsafeSlow(Math.min(memory, FIRST_BYTES))
  let offsets = new Uint32Array(1024)
  let length = 0
  let used = 0
  let ordered = true
  let chunk: Buffer | undefined
  /** The key that was added last; undefined: there is none, or strings don't compare as its bytes do. */
  let lastAscii: string | undefined
  const valueAt = (at: number): number => at + FRAME_HEADER + arena.readUInt32LE(at)
  const endAt = (at: number): number => valueAt(at) + arena.readUInt32LE(at + 4)
  const compare = (a: number, b: number): number => {
    const [av, bv] = [valueAt(a), valueAt(b)]
    const order = arena.compare(arena, b + FRAME_HEADER, bv, a + FRAME_HEADER, av)
    return order === 0 ? arena.compare(arena, bv, endAt(b), av, endAt(a)) : order
  }
  const offset = (index: number): number => offsets[index] ?? 0
  /** By the first bytes in which any keys differ, as numbers; only where those are the same, by all of their bytes. */
  const arrange = (): void => {
    const from = FRAME_HEADER + commonPrefix()
    const heads = new Float64Array(length)
    for (let i = 0; i < length; i++) {
      const [at, end] = [offset(i) + from, valueAt(offset(i))]
      // Shorter keys are filled up with zeroes: as if they were the same, at the worst.
      if (at + HEAD_BYTES <= end) heads[i] = arena.readUIntBE(at, HEAD_BYTES)
      else if (at < end) heads[i] = arena.readUIntBE(at, end - at) * 256 ** (HEAD_BYTES - end + at)
    }
    const order = (i: number, j: number): number =>
      (heads[i] ?? 0) - (heads[j] ?? 0) || compare(offset(i), offset(j))
    // Not the typed array's own sort: that of arrays makes use of pages that are in order each.
    offsets.set(Array.from(heads.keys()).sort(order).map(offset))
  }
  /** Bytes that all keys begin with. */
  const commonPrefix = (): number => {
    const first = offset(0) + FRAME_HEADER
    let common = valueAt(offset(0)) - first
    for (let i = 1; i < length && common > 0; i++) {
      const at = offset(i) + FRAME_HEADER
      const end = Math.min(common, valueAt(offset(i)) - at)
      let same = 0
      while (same < end && arena[first + same] === arena[at + same]) same++
      common = same
    }
    return common
  }
  const hasRoom = ({ key, value }: SortRecord): boolean =>
    used + FRAME_HEADER + Buffer.byteLength(key) + Buffer.byteLength(value) <= memory
  /** All the rest in one piece: pages of it that are never touched cost nothing. */
  const grow = (): void => {
    const more = Buffer.allocUnsafeSlow(memory < CHUNK_BYTES ? memory : Math.max(memory, OWN_PAGES_BYTES))
    arena.copy(more, 0, 0, used)
    arena = more
  }
  return {
    get length() {
      return length
    },
    add(record) {
      const { key, value } = record
      // No character takes more than three bytes: mostly there is room, and nobody counts them.
      const most = FRAME_HEADER + 3 * (key.length + value.length)
      if (used + most > memory && !hasRoom(record)) return false
      if (used + most > arena.length && arena.length < memory) grow()
      if (length === offsets.length) {
        const more = new Uint32Array(length * 2)
        more.set(offsets)
        offsets = more
      }
      const keyBytes = arena.write(key, used + FRAME_HEADER)
      const valueBytes = arena.write(value, used + FRAME_HEADER + keyBytes)
      arena.writeUInt32LE(keyBytes, used)
      arena.writeUInt32LE(valueBytes, used + 4)
      const ascii = keyBytes === key.length ? key : undefined
      if (ordered && length > 0) {
        const follows = lastAscii !== undefined && ascii !== undefined && lastAscii < ascii
        if (!follows && compare(offset(length - 1), used) > 0) ordered = false
      }
      lastAscii = ascii
      offsets[length++] = used
      used += FRAME_HEADER + keyBytes + valueBytes
      return true
    },
    sort() {
      if (!ordered) arrange()
      ordered = true
      const copy = (index: number): Buffer => {
        const at = offset(index)
        return Buffer.from(arena.subarray(at + FRAME_HEADER, valueAt(at)))
      }
      return { first: copy(0), last: copy(length - 1) }
    },
    *batches() {
      for (let from = 0; from < length; from += BATCH_RECORDS) {
        const batch: SortRecord[] = []
        const end = Math.min(length, from + BATCH_RECORDS)
        for (let i = from; i < end; i++) batch.push(recordOf(arena, offset(i)))
        yield batch
      }
    },
    *chunks() {
      // Copied one by one: a view of each would be ten times its bytes in garbage.
      chunk ??= Buffer.allocUnsafeSlow(Math.min(memory, CHUNK_BYTES))
      let filled = 0
      for (let i = 0; i < length; i++) {
        const at = offset(i)
        const end = endAt(at)
        if (filled > 0 && filled + end - at > chunk.length) {
          yield chunk.subarray(0, filled)
          filled = 0
        }
        if (end - at > chunk.length) yield arena.subarray(at, end)
        else filled += arena.copy(chunk, filled, at, end)
      }
      yield chunk.subarray(0, filled)
    },
    clear() {
      length = 0
      used = 0
      ordered = true
      lastAscii = undefined
    },
    release() {
      arena = Buffer.alloc(0)
      offsets = new Uint32Array(0)
      chunk = undefined
      length = 0
      // Full: what is added all the same is refused, not lost.
      used = memory
    },
  }
}

/** The record whose frame begins at `at`. */
export function recordOf(bytes: Buffer, at: number): SortRecord {
  const start = at + FRAME_HEADER
  const value = start + bytes.readUInt32LE(at)
  const end = value + bytes.readUInt32LE(at + 4)
  const text = bytes.toString('utf8', start, end)
  // All ASCII: one look at the bytes is enough.
  if (text.length === end - start)
    return { key: text.slice(0, value - start), value: text.slice(value - start) }
  return { key: bytes.toString('utf8', start, value), value: bytes.toString('utf8', value, end) }
}
