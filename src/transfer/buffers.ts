const SMALLEST = 4 * 1024
/** Above this, sizes are those of parts and blocks: few, and each its own class. */
const LARGE = 1024 * 1024
const LARGE_STEP = 64 * 1024

/**
 * Where malloc gets pages of their own it begins 16 bytes behind their start, and copying whole pages of a file there
 * is four times slower on AMD's Zen 3 than 64 bytes behind it (2.1 and 8.2 GB/s: its `rep movsb`).
 */
const ASIDE = 48

function allocate(size: number): Buffer {
  return Buffer.allocUnsafeSlow(size + ASIDE).subarray(ASIDE)
}

/** Buffers that are used again: twenty thousand small transfers need a few dozen, not twenty thousand. */
export interface Buffers {
  take(length: number): Buffer
  /** Nobody may write to it any more. Given back before its bytes are given back to the budget. */
  give(buffer: Buffer): void
  /** It will not come back: someone may still write to it. */
  lose(buffer: Buffer): void
  clear(): void
}

/** What a buffer for `length` bytes really takes, which is what the budget has to count. */
export function bufferSize(length: number): number {
  if (length > LARGE) return Math.ceil(length / LARGE_STEP) * LARGE_STEP
  let size = SMALLEST
  while (size < length) size *= 2
  return size
}

/**
 * `allowance`: bytes that this thread may keep, in use and idle together. What is in use may be more, since that is
 * the budget's to say, and then no more than that lies idle. An allowance that followed the budget from moment to
 * moment would throw away what the next transfer needs: a part's memory costs as much to make as its bytes to receive.
 */
export function openBuffers(allowance: number): Buffers {
  const idle = new Map<number, Buffer[]>()
  let idleBytes = 0
  let used = 0
  const clear = () => {
    idle.clear()
    idleBytes = 0
  }
  return {
    take(length) {
      const size = bufferSize(length)
      used += size
      const found = idle.get(size)?.pop()
      if (found === undefined) {
        // Of another size, all of them: they make way.
        if (used + idleBytes > allowance) clear()
        return allocate(size)
      }
      idleBytes -= size
      return found
    },
    give(buffer) {
      const size = buffer.length
      used -= size
      const kept = idleBytes + size
      if (used + kept > allowance && kept > Math.max(used, 2 * size)) return
      const list = idle.get(size) ?? []
      if (list.length === 0) idle.set(size, list)
      list.push(buffer)
      idleBytes += size
    },
    lose(buffer) {
      used -= buffer.length
    },
    clear,
  }
}
