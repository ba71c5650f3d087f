import { unlink } from 'node:fs/promises'
import { errorCode } from '../fs/error-code.ts'
import { listLocal } from './local-list.ts'
import { localError, localPath } from './local-path.ts'
import { headLocal, readLocal, readLocalDocument } from './local-read.ts'
import {
  abortLocalUpload,
  completeLocalUpload,
  createLocalUpload,
  listLocalParts,
  listLocalUploads,
  putLocalPart,
} from './local-upload.ts'
import { putLocal, putStreamLocal } from './local-write.ts'
import type { ObjectStore } from './store.ts'

/**
 * A folder that is used like a bucket: keys are relative paths. `root` is absolute; it is made by the first
 * write. What is under a final name is whole and synced. Longshore's own state is in `root/.longshore`.
 */
export function localStore(root: string): ObjectStore {
  const store: ObjectStore = {
    kind: 'local',
    url: `file://${root === '/' ? '' : root}`,
    place: 'local',
    bucket: root === '/' ? '%2F' : root.slice(1).replaceAll('%', '%25').replaceAll('/', '%2F'),
    listPages: (options) => listLocal(root, options),
    head: async (key, options) => {
      options?.signal?.throwIfAborted()
      return headLocal(root, key)
    },
    async remove(keys, options) {
      for (const key of keys) {
        options?.signal?.throwIfAborted()
        await removeLocal(localPath(root, key))
      }
    },
    getInto: async (request, into, options) => {
      options?.signal?.throwIfAborted()
      options?.onRequest?.('GET')
      return readLocal(root, request, into, options)
    },
    getDocument: async (key, options) => {
      options.signal?.throwIfAborted()
      options.onRequest?.('GET')
      return readLocalDocument(root, key, options.maxBytes, options)
    },
    put: async (request, options) => {
      options?.signal?.throwIfAborted()
      options?.onRequest?.('PUT')
      return putLocal(root, request, options)
    },
    putStream: async (key, body, options) => putStreamLocal(root, key, body, options),
    createUpload: async (key) => createLocalUpload(root, key),
    putPart: async (request, options) => {
      options?.signal?.throwIfAborted()
      options?.onRequest?.('PART')
      return putLocalPart(root, request, options)
    },
    completeUpload: async (request) => completeLocalUpload(root, request),
    abortUpload: async (_key, uploadId) => abortLocalUpload(root, uploadId),
    listParts: async (_key, uploadId, options) => listLocalParts(root, uploadId, options),
    listUploads: (prefix) => listLocalUploads(root, prefix),
    async close() {},
  }
  ROOT_OF.set(store.getInto, root)
  return store
}

/** By the function that reads: a store that is wrapped, but reads as this one does, is the same folder. */
const ROOT_OF = new WeakMap<ObjectStore['getInto'], string>()

/** The folder that a store's bytes are in; undefined: it is no local store, or one that reads otherwise. */
export function localRootOf(store: ObjectStore): string | undefined {
  return ROOT_OF.get(store.getInto)
}

async function removeLocal(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return
    throw localError(error, path)
  }
}
