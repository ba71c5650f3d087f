import {
  bucketOf,
  type Call,
  checkKey,
  existing,
  header,
  now,
  type Reply,
  receive,
  receiveDocument,
  xml,
} from './call.ts'
import { preconditionFailed, readConditions, writeConditions } from './conditions.ts'
import { copyObject } from './copy-object.ts'
import { checksumHeader } from './digest-body.ts'
import { s3Failure } from './failure.ts'
import { headersToKeep, objectHeaders } from './object-headers.ts'
import { childrenOf, childText, parseXml } from './parse-xml.ts'
import { readObject } from './read-object.ts'
import type { Operation } from './route.ts'
import { deleteObject, putObject, type StoredObject } from './storage.ts'
import { writeXml } from './write-xml.ts'

const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE'])
const MAX_DELETES = 1000

export const OBJECT_HANDLERS: Partial<Record<Operation, (call: Call) => Promise<Reply> | Reply>> = {
  GetObject: (call) => getObject(call, true),
  HeadObject: (call) => getObject(call, false),
  PutObject: putOne,
  CopyObject: copyObject,
  DeleteObject: deleteOne,
  DeleteObjects: deleteMany,
}

function getObject(call: Call, withBody: boolean): Reply {
  const bucket = bucketOf(call)
  const object = existing(call)
  if (!readConditions(call, object)) {
    return {
      status: 304,
      headers: { etag: object.etag, 'last-modified': new Date(object.modified).toUTCString() },
    }
  }
  if (withBody && ARCHIVED.has(object.storageClass ?? ''))
    throw s3Failure('InvalidObjectState', "The operation is not valid for the object's storage class", {
      StorageClass: object.storageClass ?? '',
    })
  const range = parseRange(header(call, 'range'), object)
  const [from, length] = range ?? [0, object.size]
  const headers = objectHeaders(call, object, range === undefined)
  if (range !== undefined) headers['content-range'] = `bytes ${from}-${from + length - 1}/${object.size}`
  const body = withBody ? readObject(bucket, object, from, length) : undefined
  return { status: range === undefined ? 200 : 206, headers, body, length, data: true }
}

/** First byte and length; undefined where the header is none that S3 takes notice of. */
function parseRange(text: string | undefined, object: StoredObject): [number, number] | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text?.trim() ?? '')
  const [, first = '', last = ''] = match ?? []
  if (match === null || (first === '' && last === '')) return undefined
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  const from = first === '' ? Math.max(object.size - Number(last), 0) : Number(first)
  const end = first === '' || last === '' ? object.size : Math.min(Number(last) + 1, object.size)
  if (from < end) return [from, end - from]
  const failure = s3Failure('InvalidRange', 'The requested range is not satisfiable', {
    RangeRequested: text ?? '',
    ActualObjectSize: String(object.size),
  })
  failure.headers['content-range'] = `bytes */${object.size}`
  throw failure
}

async function putOne(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  const { key } = call.route
  checkKey(key)
  const kept = headersToKeep(call)
  // Looked at before the body, to refuse early, and again when the object would appear: that one decides.
  writeConditions(call, bucket.objects.get(key))
  const { staged, md5, size, checksum } = await receive(call, bucket.stage)
  try {
    writeConditions(call, bucketOf(call).objects.get(key))
  } catch (error) {
    staged.discard()
    throw error
  }
  const etag = `"${md5.toString('hex')}"`
  const full = checksum === undefined ? undefined : { ...checksum, type: 'FULL_OBJECT' as const }
  putObject(bucket, staged, { key, size, etag, modified: now(), ...kept, checksum: full })
  const headers: Record<string, string> = { etag }
  if (full !== undefined) {
    headers[checksumHeader(full.algorithm)] = full.value
    headers['x-amz-checksum-type'] = full.type
  }
  return { status: 200, headers }
}

function deleteOne(call: Call): Reply {
  const bucket = bucketOf(call)
  const object = bucket.objects.get(call.route.key)
  if (header(call, 'if-match') !== undefined && object !== undefined && !readConditions(call, object))
    throw preconditionFailed('If-Match')
  deleteObject(bucket, call.route.key)
  return { status: 204, headers: {} }
}

async function deleteMany(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  const proven = Object.keys(call.headers).some(
    (name) => name === 'content-md5' || name === 'x-amz-trailer' || /^x-amz-checksum-[a-z]+\d/.test(name),
  )
  if (!proven)
    throw s3Failure(
      'InvalidRequest',
      'Missing required header for this request: Content-MD5 OR x-amz-checksum-*',
    )
  const document = parseXml(await receiveDocument(call), 'Delete')
  const wanted = childrenOf(document, 'Object').map((object) => childText(object, 'Key'))
  if (wanted.length === 0 || wanted.length > MAX_DELETES || wanted.includes(undefined))
    throw s3Failure(
      'MalformedXML',
      'The XML you provided was not well-formed or did not validate against our published schema',
    )
  const deleted: { Key: string }[] = []
  for (const Key of wanted) {
    if (Key === undefined) continue
    deleteObject(bucket, Key)
    deleted.push({ Key })
  }
  const quiet = childText(document, 'Quiet') === 'true'
  return xml(writeXml('DeleteResult', quiet ? {} : { Deleted: deleted }))
}
