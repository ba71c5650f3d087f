import { hash } from 'node:crypto'
import { isLongshoreError } from '../errors.ts'
import { canonicalJson } from '../manifest/canonical.ts'
import type { TransferDone } from '../transfer/types.ts'
import { CLEAR_MS, clearUploads, tryToClearUploads } from './clear-uploads.ts'
import { type Desk, writeRecord } from './documents.ts'
import { keptParts, type OpenShard } from './part-sums.ts'
import { uploadSchema } from './plan-schema.ts'

export interface TakenUpload {
  open: OpenShard
  /** Parts that are up already, by number. */
  kept: Map<number, TransferDone>
  /** The answer to a request that began one was lost: there may be an upload that nobody knows the id of. */
  orphans: boolean
}

interface Found {
  /** undefined: it can't be read. */
  uploadId: string | undefined
  etag: string
}

/** Names the bytes of a shard's parts within its plan: what is left out of it and where it is cut. */
export function layoutOf(partSize: number, without: Iterable<string>): string {
  return hash('sha256', canonicalJson({ partSize, without: [...without].sort() }), 'hex').slice(0, 12)
}

/**
 * The upload that a shard's parts go into. A record below the plan names it, written before any part: so a rerun
 * goes on with the parts that are up, and two runs that are at the same shard put the same bytes into one upload.
 * Who finds another's upload in the record joins that; where it is gone, its own takes the place.
 */
export async function takeUpload(
  desk: Desk,
  shard: Omit<OpenShard, 'uploadId'>,
  { mayBeOpen }: { mayBeOpen: boolean },
): Promise<TakenUpload> {
  const { key, record } = shard
  const found = mayBeOpen ? await readUpload(desk, record) : undefined
  const joined = await join(desk, shard, found?.uploadId)
  if (mayBeOpen) await tryToClearUploads(desk, key, joined?.open.uploadId)
  if (joined !== undefined) return joined
  const begun = await begin(desk, key, found?.uploadId)
  const mine = { open: { ...shard, uploadId: begun.uploadId }, kept: new Map(), orphans: begun.orphans }
  try {
    const noted = { format: 'longshore-upload', version: 1, uploadId: begun.uploadId }
    const condition = found === undefined ? 'absent' : { etag: found.etag }
    if ((await writeRecord(desk, record, noted, condition)) === 'written') return mine
    const other = await readUpload(desk, record)
    if (other === undefined || other.uploadId === begun.uploadId) return mine
    const theirs = await join(desk, shard, other.uploadId)
    if (theirs === undefined) {
      // Gone, and its record is in the way. When that changes once more, ours has none and can't be continued.
      await writeRecord(desk, record, noted, { etag: other.etag })
      return mine
    }
    await desk.store.abortUpload(key, begun.uploadId, { signal: desk.signal })
    return { ...theirs, orphans: begun.orphans }
  } catch (error) {
    await desk.store
      .abortUpload(key, begun.uploadId, { signal: AbortSignal.timeout(CLEAR_MS) })
      .catch(() => {})
    throw error
  }
}

async function join(
  desk: Desk,
  shard: Omit<OpenShard, 'uploadId'>,
  uploadId: string | undefined,
): Promise<TakenUpload | undefined> {
  if (uploadId === undefined) return undefined
  const open = { ...shard, uploadId }
  try {
    const kept = await keptParts(desk, open)
    return kept === undefined ? undefined : { open, kept, orphans: false }
  } catch (error) {
    // Not allowed to list parts, or a store that can't: then it is begun anew.
    if (isLongshoreError(error, 'ACCESS_DENIED') || isLongshoreError(error, 'SERVER')) return undefined
    throw error
  }
}

async function begin(
  desk: Desk,
  key: string,
  spare: string | undefined,
): Promise<{ uploadId: string; orphans: boolean }> {
  let orphans = false
  const onRetry = (): void => {
    orphans = true
  }
  try {
    const uploadId = await desk.store.createUpload(key, { signal: desk.signal, onRetry })
    return { uploadId, orphans }
  } catch (error) {
    // Begun, perhaps, and the answer lost or not awaited. Not under the run's own signal: that may have ended it.
    await clearUploads({ store: desk.store, signal: AbortSignal.timeout(CLEAR_MS) }, key, spare).catch(
      () => {},
    )
    throw error
  }
}

async function readUpload(desk: Desk, record: string): Promise<Found | undefined> {
  const found = await desk.engine.readDocument(desk.store, record, {
    signal: desk.signal,
    maxBytes: 64 * 1024,
  })
  if (found === undefined) return undefined
  try {
    const { uploadId } = uploadSchema.parse(JSON.parse(found.bytes.toString('utf8')))
    return { uploadId, etag: found.etag }
  } catch {
    // It only saves work: what is no record is replaced.
    return { uploadId: undefined, etag: found.etag }
  }
}
