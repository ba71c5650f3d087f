import { crc32, crc32Combine } from '../checksum/crc32.ts'
import type { IndexedSample } from '../formats/sample-index.ts'
import type { UploadedPart } from '../s3/store.ts'
import { BLOCK_BYTES, type TransferDone } from '../transfer/types.ts'
import { CLEAR_MS, clearUploads } from './clear-uploads.ts'
import { type Desk, readObject } from './documents.ts'
import { holdsOther } from './freeze.ts'
import type { Gate } from './gate.ts'
import { linkSignal } from './link-signal.ts'
import { type PartsOptions, type ShardPart, shardParts } from './parts.ts'

/** A shard up to this size is one PUT. It is held beside the engine's buffers, so it is no larger than a block. */
export const WHOLE_BYTES = BLOCK_BYTES

export interface UploadOptions extends PartsOptions {
  key: string
  /** bytes of the shard */
  size: number
  gate: Gate
  /** A run before this one may have left an open upload. */
  mayBeOpen: boolean
  /** Called when all bytes are up and their sums known, before the shard has its name. */
  beforeName(sums: { crc32: number; blockCrcs: number[] }): Promise<void>
  onPart(part: ShardPart, done: TransferDone): void
}

/**
 * Moves a shard to DST: its parts as a multipart upload, or one PUT when it is small. The name appears last and
 * only where none was; a shard that is there already must have these bytes, else DEST_HOLDS_OTHER. A failure
 * leaves no open upload behind, unless the process is killed: then the next run clears it away.
 */
export async function uploadShard(
  desk: Desk,
  samples: AsyncIterable<IndexedSample>,
  options: UploadOptions,
): Promise<void> {
  const { key, size } = options
  if (size <= WHOLE_BYTES) return await uploadWhole(desk, samples, options)
  if (options.mayBeOpen) await tryToClear(desk, key)
  // A lost answer leaves an upload that nobody knows the id of: looked for when the shard is through.
  let orphans = false
  const onRetry = (): void => {
    orphans = true
  }
  let uploadId: string | undefined
  try {
    uploadId = await desk.store.createUpload(key, { signal: desk.signal, onRetry })
    const done = await moveParts(desk, samples, { ...options, uploadId })
    const sums = sumUp(done)
    await options.beforeName(sums)
    const parts = done.map(({ etag = '', bytes, crc32: crc }, i): UploadedPart => {
      return { partNumber: i + 1, etag, size: bytes, crc32: crc }
    })
    const outcome = await desk.store.completeUpload(
      { key, uploadId, parts, size, condition: 'absent' },
      { signal: desk.signal },
    )
    if (outcome.status === 'exists') {
      await desk.store.abortUpload(key, uploadId, { signal: desk.signal })
      await checkExisting(desk, key, size, sums.crc32)
    }
    if (orphans) await tryToClear(desk, key)
  } catch (error) {
    // Not under the run's own signal: that may be what ended it.
    const last = { ...desk, signal: AbortSignal.timeout(CLEAR_MS) }
    if (uploadId !== undefined) {
      await desk.store.abortUpload(key, uploadId, { signal: last.signal }).catch(() => {})
    }
    // Begun, perhaps, and the answer lost or not awaited.
    if (orphans || uploadId === undefined) await clearUploads(last, key).catch(() => {})
    throw error
  }
}

/** Through memory, so that its sums are known and written down before it has its name. */
async function uploadWhole(
  desk: Desk,
  samples: AsyncIterable<IndexedSample>,
  options: UploadOptions,
): Promise<void> {
  const { engine, signal } = desk
  const { key, size } = options
  const to = { kind: 'object' as const, store: engine.attach(desk.store), key, absent: true }
  for await (const part of shardParts(samples, options)) {
    const { number: id, length, pieces } = part
    await options.gate.enter(signal)
    try {
      const got = await engine.move({ id, length, pieces, to: { kind: 'memory' } }, { signal })
      options.onPart(part, got)
      await options.beforeName(got)
      const { body: bytes = new Uint8Array(0) } = got
      const all = [{ kind: 'bytes' as const, at: 0, length, bytes }]
      const done = await engine.move({ id, length, pieces: all, to }, { signal })
      if (done.exists) await checkExisting(desk, key, size, got.crc32)
    } finally {
      options.gate.leave()
    }
  }
}

async function moveParts(
  desk: Desk,
  samples: AsyncIterable<IndexedSample>,
  options: UploadOptions & { uploadId: string },
): Promise<TransferDone[]> {
  const { engine } = desk
  const { key, uploadId, gate } = options
  const store = engine.attach(desk.store)
  const done: TransferDone[] = []
  const running = new Set<Promise<void>>()
  const { signal, abort, unlink } = linkSignal(desk.signal)
  const move = async (part: ShardPart): Promise<void> => {
    const { number, offset, length, pieces } = part
    try {
      const to = { kind: 'part' as const, store, key, uploadId, partNumber: number, offset }
      const result = await engine.move({ id: number, length, pieces, to }, { signal })
      done[number - 1] = result
      options.onPart(part, result)
    } catch (error) {
      // The first one counts: what follows is only the abort that it causes.
      abort(error)
    } finally {
      gate.leave()
    }
  }
  try {
    for await (const part of shardParts(samples, options)) {
      await gate.enter(signal)
      const one: Promise<void> = move(part).finally(() => running.delete(one))
      running.add(one)
    }
  } finally {
    await Promise.all(running)
    unlink()
  }
  signal.throwIfAborted()
  return done
}

function sumUp(parts: readonly TransferDone[]): { crc32: number; blockCrcs: number[] } {
  let crc = 0
  for (const part of parts) crc = crc32Combine(crc, part.crc32, part.bytes)
  return { crc32: crc, blockCrcs: parts.flatMap((part) => part.blockCrcs) }
}

/** Someone else's object under our name? Only its bytes can tell. */
async function checkExisting(desk: Desk, key: string, size: number, crc: number): Promise<void> {
  const url = `${desk.store.url}/${key}`
  const there = await desk.store.head(key, { signal: desk.signal })
  if (there?.size !== size) throw holdsOther(url, 'an object that is not this shard')
  let sum = 0
  for await (const chunk of readObject(desk, key, size)) sum = crc32(chunk, sum)
  if (sum !== crc) throw holdsOther(url, 'an object that is not this shard')
}

/** Many may write and not list: what can't be looked for does not stop a pack. */
async function tryToClear(desk: Desk, key: string): Promise<void> {
  await clearUploads(desk, key).catch(() => desk.signal.throwIfAborted())
}
