import { LongshoreError } from '../errors.ts'
import type { UploadedPart } from '../s3/store.ts'
import type { Transfer } from '../transfer/types.ts'
import type { LogPlace } from './log.ts'

export interface CopyUpOptions {
  /** absolute */
  path: string
  key: string
  /** bytes of the file's beginning that go up: a log may grow meanwhile */
  size: number
  /** bytes */
  partSize: number
  signal: AbortSignal
}

/** Copies a local file to a key, whatever is there. An upload that fails is aborted, so no parts are left. */
export async function copyUp(place: LogPlace, options: CopyUpOptions): Promise<void> {
  const { engine, store } = place
  const { key, path, size, signal } = options
  const id = engine.attach(store)
  // S3 takes 10,000 parts.
  const partSize = Math.max(options.partSize, Math.ceil(size / 10_000))
  if (size <= partSize) {
    const pieces = size === 0 ? [] : [{ kind: 'file' as const, at: 0, length: size, path, offset: 0 }]
    await engine.move(
      { id: 0, length: size, pieces, to: { kind: 'object', store: id, key, absent: false } },
      { signal },
    )
    return
  }
  const uploadId = await store.createUpload(key, { signal })
  try {
    const parts: UploadedPart[] = []
    const plan = function* (): Generator<Transfer> {
      for (let offset = 0, partNumber = 1; offset < size; offset += partSize, partNumber++) {
        const length = Math.min(partSize, size - offset)
        yield {
          id: partNumber,
          length,
          pieces: [{ kind: 'file', at: 0, length, path, offset }],
          to: { kind: 'part', store: id, key, uploadId, partNumber, offset },
        }
      }
    }
    await engine.run(plan(), {
      signal,
      onResult(result) {
        if (!result.ok) throw result.error
        const { id: partNumber, etag = '', bytes, crc32 } = result
        parts.push({ partNumber, etag, size: bytes, crc32 })
      },
    })
    parts.sort((a, b) => a.partNumber - b.partNumber)
    const outcome = await store.completeUpload({ key, uploadId, parts, size }, { signal })
    if (outcome.status !== 'written') {
      throw new LongshoreError('SERVER', `${store.url}/${key} was not replaced`, { path: key })
    }
  } catch (error) {
    await store.abortUpload(key, uploadId, { signal: AbortSignal.timeout(10_000) }).catch(() => undefined)
    throw error
  }
}
