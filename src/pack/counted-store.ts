import type { CallOptions, ListOptions, ObjectStore } from '../s3/store.ts'

/** The same store; requests that pack makes itself are counted. The engine counts its own: it brings a counter. */
export function countedStore(store: ObjectStore, counts: Record<string, number>): ObjectStore {
  const onRequest = (kind: string): void => {
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  const own = <T extends CallOptions | ListOptions>(options: T): T =>
    options.onRequest === undefined ? { ...options, onRequest } : options
  return {
    ...store,
    listPages: (options) => store.listPages(own(options)),
    head: (key, options = {}) => store.head(key, own(options)),
    remove: (keys, options = {}) => store.remove(keys, own(options)),
    putStream: (key, body, options = {}) => store.putStream(key, body, own(options)),
    createUpload: (key, options = {}) => store.createUpload(key, own(options)),
    completeUpload: (request, options = {}) => store.completeUpload(request, own(options)),
    abortUpload: (key, uploadId, options = {}) => store.abortUpload(key, uploadId, own(options)),
    listParts: (key, uploadId, options = {}) => store.listParts(key, uploadId, own(options)),
    listUploads: (prefix, options = {}) => store.listUploads(prefix, own(options)),
  }
}
