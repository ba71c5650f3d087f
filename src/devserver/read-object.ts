import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { open } from 'node:fs/promises'
import path from 'node:path'
import { type Bucket, hold, objectFile, type StoredObject } from './storage.ts'

/** Bytes of an object, in the version that was there when they were asked for. */
export interface ObjectBody {
  length: number
  /** May be walked once. */
  chunks(): AsyncGenerator<Buffer>
  /** Needed when chunks() was not walked to its end; does no harm otherwise. */
  release(): void
}

const CHUNK = 512 * 1024
/** Up to this size a range is read at once and sent as one buffer. */
const AT_ONCE = 256 * 1024

export function readObject(
  bucket: Bucket,
  object: StoredObject,
  from: number,
  length: number,
): Buffer | ObjectBody {
  if (length === 0) return Buffer.alloc(0)
  if (object.segments !== undefined) return readSegments(bucket, object, from, length)
  const fd = openSync(objectFile(bucket, object.key), 'r')
  if (length <= AT_ONCE) {
    const bytes = Buffer.allocUnsafe(length)
    try {
      if (readSync(fd, bytes, 0, length, from) !== length) throw new Error(`short read of ${object.key}`)
      return bytes
    } finally {
      closeSync(fd)
    }
  }
  let closed = false
  const release = () => {
    if (!closed) closeSync(fd)
    closed = true
  }
  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      for (let at = 0; at < length; ) {
        const bytes = Buffer.allocUnsafeSlow(Math.min(CHUNK, length - at))
        const read = readSync(fd, bytes, 0, bytes.length, from + at)
        if (read === 0) throw new Error(`short read of ${object.key}`)
        at += read
        yield bytes.subarray(0, read)
      }
    } finally {
      release()
    }
  }
  return { length, chunks, release }
}

function readSegments(bucket: Bucket, object: StoredObject, from: number, length: number): ObjectBody {
  let letGo: (() => void) | undefined = hold(bucket, object)
  const release = () => {
    letGo?.()
    letGo = undefined
  }
  async function* chunks(): AsyncGenerator<Buffer> {
    try {
      let start = 0
      for (const segment of object.segments ?? []) {
        const first = Math.max(from - start, 0)
        const end = Math.min(from + length - start, segment.size)
        start += segment.size
        if (first >= end) continue
        const file = await open(path.join(bucket.dir, segment.file), 'r')
        try {
          for (let at = first; at < end; ) {
            const bytes = Buffer.allocUnsafeSlow(Math.min(CHUNK, end - at))
            const { bytesRead } = await file.read(bytes, 0, bytes.length, at)
            if (bytesRead === 0) throw new Error(`short read of ${object.key}`)
            at += bytesRead
            yield bytes.subarray(0, bytesRead)
          }
        } finally {
          await file.close()
        }
      }
    } finally {
      release()
    }
  }
  return { length, chunks, release }
}

/** All of it, in memory. */
export function readWhole(bucket: Bucket, object: StoredObject): Buffer {
  const files = object.segments?.map(({ file, size }) => ({ file: path.join(bucket.dir, file), size })) ?? [
    { file: objectFile(bucket, object.key), size: object.size },
  ]
  return Buffer.concat(files.map(({ file, size }) => readFileSync(file).subarray(0, size)))
}
