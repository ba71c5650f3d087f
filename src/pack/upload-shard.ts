import { crc32, crc32Combine } from '../checksum/crc32.ts'
import type { IndexedSample } from '../formats/sample-index.ts'
import type { UploadedPart } from '../s3/store.ts'
import { BLOCK_BYTES, type TransferDone } from '../transfer/types.ts'
import { CLEAR_MS, clearUploads, tryToClearUploads } from './clear-uploads.ts'
import { type Desk, readObject } from './documents.ts'
import { holdsOther } from './freeze.ts'
import type { Gate } from './gate.ts'
import type { Turn } from './in-order.ts'
import { leavesUpload } from './leaves-upload.ts'
import { linkSignal } from './link-signal.ts'
import { type OpenShard, writeSums } from './part-sums.ts'
import { type PartsOptions, type ShardPart, shardParts } from './parts.ts'
import { takeUpload } from './take-upload.ts'

/** A shard up to this size is one PUT. It is held beside the engine's buffers, so it is no larger than a block. */
export const WHOLE_BYTES = BLOCK_BYTES

export interface UploadOptions extends PartsOptions {
  key: string
  /** bytes of the shard */
  size: number
  /** Key of the record that names the upload; it stands for what the parts hold. */
  record: string
  gate: Gate
  /** Its parts are given to the engine in its turn, which is over when they all are. */
  turn: Turn
  /** A run before this one may have left an open upload. */
  mayBeOpen: boolean
  needsSums: (open: OpenShard) => Promise<boolean>
  /** Called when all bytes are up and their sums known, before the shard has its name. */
  beforeName(sums: { crc32: number; blockCrcs: number[] }): Promise<void>
  /** `kept`: an earlier run had put it up. */
  onPart(part: ShardPart, done: TransferDone, kept: boolean): void
  /** A failure left so many parts for the next run to go on with. */
  onLeftOpen(parts: number): void
}

/**
 * Moves a shard to DST: its parts as a multipart upload, or one PUT when it is small. The name appears last and
 * only where none was; a shard that is there already must have these bytes, else DEST_HOLDS_OTHER. A run that was
 * killed or cut off leaves the upload, and the next one goes on with its parts; any other failure aborts it.
 */
export async function uploadShard(
  desk: Desk,
  samples: AsyncIterable<readonly IndexedSample[]>,
  options: UploadOptions,
): Promise<void> {
  const { key, size, record, partSize, mayBeOpen } = options
  if (size <= WHOLE_BYTES) return await uploadWhole(desk, samples, options)
  const { open, kept, orphans } = await takeUpload(desk, { key, size, record, partSize }, { mayBeOpen })
  const { uploadId } = open
  const up = new Map(kept)
  try {
    await moveParts(desk, samples, { ...options, open, up })
    const done = [...up.values()].sort((a, b) => a.id - b.id)
    const sums = sumUp(done)
    await options.beforeName(sums)
    const parts = done.map(({ id, etag = '', bytes, crc32: crc }): UploadedPart => {
      return { partNumber: id, etag, size: bytes, crc32: crc }
    })
    const outcome = await desk.store.completeUpload(
      { key, uploadId, parts, size, condition: 'absent' },
      { signal: desk.signal },
    )
    if (outcome.status === 'exists') {
      await desk.store.abortUpload(key, uploadId, { signal: desk.signal })
      await checkExisting(desk, key, size, sums.crc32)
    }
    if (orphans) await tryToClearUploads(desk, key)
  } catch (error) {
    // Not under the run's own signal: that may be what ended it.
    const last = { ...desk, signal: AbortSignal.timeout(CLEAR_MS) }
    const keep = up.size > 0 && leavesUpload(error, { grew: up.size > kept.size })
    if (keep) options.onLeftOpen(up.size)
    else await desk.store.abortUpload(key, uploadId, { signal: last.signal }).catch(() => {})
    if (orphans) await clearUploads(last, key, uploadId).catch(() => {})
    throw error
  }
}

/** Through memory, so that its sums are known and written down before it has its name. */
async function uploadWhole(
  desk: Desk,
  samples: AsyncIterable<readonly IndexedSample[]>,
  options: UploadOptions,
): Promise<void> {
  const { engine, signal } = desk
  const { key, size } = options
  const to = { kind: 'object' as const, store: engine.attach(desk.store), key, absent: true }
  for await (const part of inTurn(shardParts(samples, options), options.turn)) {
    const { number: id, length, pieces } = part
    await options.gate.enter(pieces.length, signal)
    options.turn.over()
    try {
      const got = await engine.move({ id, length, pieces, to: { kind: 'memory' } }, { signal })
      options.onPart(part, got, false)
      await options.beforeName(got)
      const { body: bytes = new Uint8Array(0) } = got
      const all = [{ kind: 'bytes' as const, at: 0, length, bytes }]
      const done = await engine.move({ id, length, pieces: all, to }, { signal })
      if (done.exists) await checkExisting(desk, key, size, got.crc32)
    } finally {
      options.gate.leave(pieces.length)
    }
  }
}

/** Into `up`, which holds those that are there already. */
async function moveParts(
  desk: Desk,
  samples: AsyncIterable<readonly IndexedSample[]>,
  options: UploadOptions & { open: OpenShard; up: Map<number, TransferDone> },
): Promise<void> {
  const { engine } = desk
  const { key, open, up, gate } = options
  const store = engine.attach(desk.store)
  const running = new Set<Promise<void>>()
  const { signal, abort, unlink } = linkSignal(desk.signal)
  const move = async (part: ShardPart): Promise<void> => {
    const { number, offset, length, pieces } = part
    try {
      const { uploadId } = open
      const to = { kind: 'part' as const, store, key, uploadId, partNumber: number, offset }
      const result = await engine.move({ id: number, length, pieces, to }, { signal })
      if (await options.needsSums(open)) await writeSums({ ...desk, signal }, open, result)
      up.set(number, result)
      options.onPart(part, result, false)
    } catch (error) {
      // The first one counts: what follows is only the abort that it causes.
      abort(error)
    } finally {
      gate.leave(pieces.length)
    }
  }
  try {
    for await (const part of inTurn(shardParts(samples, options), options.turn)) {
      const kept = up.get(part.number)
      if (kept !== undefined) {
        signal.throwIfAborted()
        options.onPart(part, kept, true)
        continue
      }
      await gate.enter(part.pieces.length, signal)
      const one: Promise<void> = move(part).finally(() => running.delete(one))
      running.add(one)
    }
    options.turn.over()
  } finally {
    await Promise.all(running)
    unlink()
  }
  signal.throwIfAborted()
}

/**
 * Shard after shard: mixed, all of them would be full at the very end, and what is left to do then (their indexes, and
 * the server putting parts together) would hide behind no bytes. The first part is made ahead, as the slice is read.
 */
async function* inTurn(parts: AsyncGenerator<ShardPart>, turn: Turn): AsyncGenerator<ShardPart> {
  const first = parts.next()
  first.catch(() => {})
  try {
    await turn.comes
    for (let next = await first; !next.done; next = await parts.next()) yield next.value
  } finally {
    await parts.return(undefined)
  }
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
