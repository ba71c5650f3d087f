import type { ObjectStore } from '../s3/store.ts'

/** ms to clear an upload away after a failure or a signal */
export const CLEAR_MS = 5_000

/** Aborts every open upload of one key. */
export async function clearUploads(
  { store, signal }: { store: ObjectStore; signal: AbortSignal },
  key: string,
): Promise<void> {
  for await (const open of store.listUploads(key, { signal })) {
    if (open.key === key) await store.abortUpload(key, open.uploadId, { signal })
  }
}
