import type { ObjectStore } from '../s3/store.ts'

/** ms to clear an upload away after a failure or a signal */
export const CLEAR_MS = 5_000

/** Aborts every open upload of one key, but `spare`. */
export async function clearUploads(
  { store, signal }: { store: ObjectStore; signal: AbortSignal },
  key: string,
  spare?: string,
): Promise<void> {
  for await (const { key: found, uploadId } of store.listUploads(key, { signal })) {
    if (found === key && uploadId !== spare) await store.abortUpload(key, uploadId, { signal })
  }
}

/** The same for those who may write and not list: what can't be looked for does not stop a pack. */
export async function tryToClearUploads(
  desk: { store: ObjectStore; signal: AbortSignal },
  key: string,
  spare?: string,
): Promise<void> {
  await clearUploads(desk, key, spare).catch(() => desk.signal.throwIfAborted())
}
