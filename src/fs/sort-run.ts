/** One record of a sort: ordered by the bytes of `key`, then by those of `value`. */
export interface SortRecord {
  key: Buffer
  value: Buffer
}

export interface SortRun {
  readonly length: number
  /** false: it is full, and the record was not taken. */
  add(record: SortRecord): boolean
  sort(): { first: Buffer; last: Buffer }
  /** The records in order. They point into the arena: use or copy them before `clear`. */
  records(): Iterable<SortRecord>
  /** The same as frames (u32le key length, u32le value length, key, value), about 1 MiB a chunk. */
  chunks(): Iterable<Buffer>
  clear(): void
  /** Gives the memory back; nothing can be added afterwards. */
  release(): void
}

const HEADER = 8
const CHUNK_BYTES = 1024 * 1024

/**
 * A batch of records in one arena, sorted in place by an index of offsets: a Buffer object a record would cost
 * more than the record.
 */
export function createSortRun(memory: number): SortRun {
  // Grows by doubling: a short listing must not pay for the whole budget.
  let arena = Buffer.allocUnsafe(Math.min(memory, 256 * 1024))
  let offsets = new Uint32Array(1024)
  let length = 0
  let used = 0
  let ordered = true
  const keyAt = (at: number): [number, number] => [at + HEADER, at + HEADER + arena.readUInt32LE(at)]
  const valueAt = (at: number): [number, number] => {
    const start = at + HEADER + arena.readUInt32LE(at)
    return [start, start + arena.readUInt32LE(at + 4)]
  }
  const compare = (a: number, b: number): number => {
    const [ak, al] = keyAt(a)
    const [bk, bl] = keyAt(b)
    const order = arena.compare(arena, bk, bl, ak, al)
    if (order !== 0) return order
    const [av, aw] = valueAt(a)
    const [bv, bw] = valueAt(b)
    return arena.compare(arena, bv, bw, av, aw)
  }
  const offset = (index: number): number => offsets[index] ?? 0
  const recordAt = (at: number): SortRecord => ({
    key: arena.subarray(...keyAt(at)),
    value: arena.subarray(...valueAt(at)),
  })
  return {
    get length() {
      return length
    },
    add({ key, value }) {
      const need = HEADER + key.length + value.length
      if (used + need > memory) return false
      if (used + need > arena.length) {
        const larger = Buffer.allocUnsafe(Math.min(memory, Math.max(arena.length * 2, used + need)))
        arena.copy(larger, 0, 0, used)
        arena = larger
      }
      if (length === offsets.length) {
        const more = new Uint32Array(length * 2)
        more.set(offsets)
        offsets = more
      }
      arena.writeUInt32LE(key.length, used)
      arena.writeUInt32LE(value.length, used + 4)
      arena.set(key, used + HEADER)
      arena.set(value, used + HEADER + key.length)
      if (ordered && length > 0 && compare(offset(length - 1), used) > 0) ordered = false
      offsets[length++] = used
      used += need
      return true
    },
    sort() {
      if (!ordered) offsets.subarray(0, length).sort(compare)
      ordered = true
      const copy = (index: number): Buffer => Buffer.from(recordAt(offset(index)).key)
      return { first: copy(0), last: copy(length - 1) }
    },
    *records() {
      for (let i = 0; i < length; i++) yield recordAt(offset(i))
    },
    *chunks() {
      let frames: Buffer[] = []
      let bytes = 0
      for (let i = 0; i < length; i++) {
        const at = offset(i)
        const frame = arena.subarray(at, valueAt(at)[1])
        frames.push(frame)
        bytes += frame.length
        if (bytes < CHUNK_BYTES) continue
        yield Buffer.concat(frames)
        frames = []
        bytes = 0
      }
      yield Buffer.concat(frames)
    },
    clear() {
      length = 0
      used = 0
      ordered = true
    },
    release() {
      arena = Buffer.alloc(0)
      offsets = new Uint32Array(0)
      length = 0
    },
  }
}
