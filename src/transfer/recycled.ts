/** Less than that is not worth its way back. */
export const RECYCLED_FROM = 64 * 1024
const STEP = 256 * 1024
/** Of what lies idle. */
const MOST_BYTES = 8 * 1024 * 1024

/**
 * Memory that goes to a thread with its work and comes back with the results. A fresh piece for the tar heads of each
 * part would be garbage in two threads: V8 finds it late, and where so large pieces come and go, malloc keeps the gaps.
 */
export interface Recycled {
  /** At least so many bytes, with anything in them. */
  take(bytes: number): ArrayBuffer
  /** Nobody reads it any more. */
  give(memory: ArrayBuffer): void
}

export function openRecycled(): Recycled {
  const idle: ArrayBuffer[] = []
  let idleBytes = 0
  const remove = (at: number): ArrayBuffer | undefined => {
    const [memory] = idle.splice(at, 1)
    idleBytes -= memory?.byteLength ?? 0
    return memory
  }
  return {
    take(bytes) {
      if (bytes < RECYCLED_FROM) return allocate(bytes)
      // One that is far too large is left to whom needs it.
      const fits = ({ byteLength }: ArrayBuffer) => byteLength >= bytes && byteLength <= bytes + 4 * STEP
      const at = idle.findIndex(fits)
      return (at === -1 ? undefined : remove(at)) ?? allocate(Math.ceil(bytes / STEP) * STEP)
    },
    give(memory) {
      if (memory.byteLength < RECYCLED_FROM) return
      idle.push(memory)
      idleBytes += memory.byteLength
      while (idleBytes > MOST_BYTES) remove(0)
    },
  }
}

/** Not zeroed: it is written to at once. */
function allocate(bytes: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer
}
