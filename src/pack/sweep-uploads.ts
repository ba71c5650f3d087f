import type { Desk } from './documents.ts'

/**
 * Aborts what killed runs left open at DST: uploads of the keys that `ours` knows, finished ones included, since a
 * kill between naming a shard and tidying up leaves its upload. Best effort: some servers list uploads by exact
 * key only, and not everyone who may write may list.
 */
export async function sweepUploads(
  desk: Desk,
  options: { ours: (key: string) => boolean; onFailure: (error: unknown) => void },
): Promise<void> {
  const { store, prefix, signal } = desk
  try {
    for await (const open of store.listUploads(prefix, { signal })) {
      if (options.ours(open.key)) await store.abortUpload(open.key, open.uploadId, { signal })
    }
  } catch (error) {
    signal.throwIfAborted()
    options.onFailure(error)
  }
}
