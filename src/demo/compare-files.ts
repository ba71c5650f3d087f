import { open } from 'node:fs/promises'

const CHUNK = 1 << 20

/** Whether `size` bytes of `a` from `offset` on are exactly the whole file `b`. Reads a MiB at a time. */
export async function sameBytes(a: string, offset: number, size: number, b: string): Promise<boolean> {
  const [left, right] = [await open(a), await open(b).catch(() => undefined)]
  try {
    if (right === undefined || (await right.stat()).size !== size) return false
    const [one, two] = [Buffer.allocUnsafe(Math.min(size, CHUNK)), Buffer.allocUnsafe(Math.min(size, CHUNK))]
    for (let at = 0; at < size; at += CHUNK) {
      const length = Math.min(CHUNK, size - at)
      const got = await left.read(one, 0, length, offset + at)
      const wanted = await right.read(two, 0, length, at)
      if (got.bytesRead !== length || wanted.bytesRead !== length) return false
      if (one.compare(two, 0, length, 0, length) !== 0) return false
    }
    return true
  } finally {
    await left.close()
    await right?.close()
  }
}
