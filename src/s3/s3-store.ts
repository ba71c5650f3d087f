import { listS3 } from './list-s3.ts'
import { listS3Uploads } from './list-uploads.ts'
import { getS3, getS3Document, headS3 } from './s3-read.ts'
import { putStreamS3 } from './s3-stream.ts'
import { abortS3Upload, completeS3Upload, createS3Upload, listS3Parts, putS3Part } from './s3-upload.ts'
import { putS3, removeS3 } from './s3-write.ts'
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
  return {
    kind: 's3',
    url: session.url,
    place: placeOf(session.settings.endpointUrl),
    bucket,
    listPages: (list) => listS3(session, list),
    head: (key, call) => headS3(session, key, call),
    remove: (keys, call) => removeS3(session, keys, call),
    getInto: (request, into, call) => getS3(session, request, into, call),
    getDocument: (key, call) => getS3Document(session, key, call),
    put: (request, call) => putS3(session, request, call),
    putStream: (key, body, call) => putStreamS3(session, key, body, call),
    createUpload: (key, call) => createS3Upload(session, key, call),
    putPart: (request, call) => putS3Part(session, request, call),
    completeUpload: (request, call) => completeS3Upload(session, request, call),
    abortUpload: (key, uploadId, call) => abortS3Upload(session, key, uploadId, call),
    listParts: (key, uploadId, call) => listS3Parts(session, key, uploadId, call),
    listUploads: (prefix, call) => listS3Uploads(session, prefix, call),
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
