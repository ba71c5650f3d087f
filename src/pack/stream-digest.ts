import { createHash } from 'node:crypto'

/** SHA-256 of all that was added, one after the other. */
export interface StreamDigest {
  add(bytes: Uint8Array): void
  text(text: string): void
  hex(): string
}

const HELD_BYTES = 64 * 1024

/** Small pieces are put together first: a call of the hash costs more than hashing a line. */
export function createStreamDigest(): StreamDigest {
  const hash = createHash('sha256')
  const held = Buffer.allocUnsafe(HELD_BYTES)
  let used = 0
  const flush = (): void => {
    hash.update(held.subarray(0, used))
    used = 0
  }
  const room = (bytes: number): boolean => {
    if (used + bytes > HELD_BYTES) flush()
    return bytes <= HELD_BYTES
  }
  return {
    add(bytes) {
      if (!room(bytes.length)) {
        hash.update(bytes)
        return
      }
      held.set(bytes, used)
      used += bytes.length
    },
    text(text) {
      // At most three bytes a UTF-16 unit.
      if (room(text.length * 3)) used += held.write(text, used)
      else hash.update(text)
    },
    hex() {
      flush()
      return hash.digest('hex')
    },
  }
}
