import { listS3 } from './list-s3.ts'
import { getS3Document } from './s3-document.ts'
import { openSession, type SessionOptions } from './send.ts'
import type { S3Settings } from './settings.ts'
import type { ObjectStore } from './store.ts'
import { wireTarget } from './wire/target.ts'

/** A bucket as a store. Nothing is sent yet. Throws BAD_CONFIG for an endpoint that is no http(s) URL. */
export async function s3Store(
  bucket: string,
  settings: S3Settings,
  options: SessionOptions,
): Promise<ObjectStore> {
  const session = await openSession(bucket, settings, options)
  // What needs the SDK is loaded when it is: a preload may never ask for any of it.
  const [reading, writing] = [() => import('./s3-read.ts'), () => import('./s3-write.ts')]
  const uploading = () => import('./s3-upload.ts')
  return {
    kind: 's3',
    url: session.url,
    place: placeOf(session.settings.endpointUrl),
    bucket,
    listPages: (list) => listS3(session, list),
    head: async (key, call) => (await reading()).headS3(session, key, call),
    remove: async (keys, call) => (await writing()).removeS3(session, keys, call),
    getInto: async (request, into, call) => (await reading()).getS3(session, request, into, call),
    getDocument: (key, call) => getS3Document(session, key, call),
    put: async (request, call) => (await writing()).putS3(session, request, call),
    putStream: async (key, body, call) =>
      (await import('./s3-stream.ts')).putStreamS3(session, key, body, call),
    createUpload: async (key, call) => (await uploading()).createS3Upload(session, key, call),
    putPart: async (request, call) => (await uploading()).putS3Part(session, request, call),
    completeUpload: async (request, call) => (await uploading()).completeS3Upload(session, request, call),
    abortUpload: async (key, uploadId, call) =>
      (await uploading()).abortS3Upload(session, key, uploadId, call),
    listParts: async (key, uploadId, call) => (await uploading()).listS3Parts(session, key, uploadId, call),
    async *listUploads(prefix, call) {
      const { listS3Uploads } = await import('./list-uploads.ts')
      yield* listS3Uploads(session, prefix, call)
    },
    wire: () => wireTarget(session),
    close: async () => session.close(),
  }
}

/** `aws`, or `host_port` of the endpoint: a folder's name in the cache. */
function placeOf(endpoint: string | undefined): string {
  if (endpoint === undefined) return 'aws'
  const url = new URL(endpoint)
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return `${url.hostname.replaceAll(/[^A-Za-z0-9.-]/g, '')}_${port}`
}
