import { bucketOf, type Call, header, type Reply, receiveDocument, xml } from './call.ts'
import { s3Failure } from './failure.ts'
import { type ListQuery, listKeys, listUnsorted } from './list-keys.ts'
import type { Operation } from './route.ts'
import type { Bucket } from './storage.ts'
import { writeXml, type XmlNode } from './write-xml.ts'

/** Everything here belongs to this one. */
export const OWNER_ID = '000000000000'
const MAX_KEYS = 1000

export const BUCKET_HANDLERS: Partial<Record<Operation, (call: Call) => Promise<Reply> | Reply>> = {
  ListBuckets: listBuckets,
  CreateBucket: createBucket,
  HeadBucket: headBucket,
  DeleteBucket: deleteBucket,
  GetBucketLocation: (call) => document(call, 'LocationConstraint', {}),
  GetBucketVersioning: (call) => document(call, 'VersioningConfiguration', {}),
  GetBucketLifecycleConfiguration: getLifecycle,
  PutBucketLifecycleConfiguration: putLifecycle,
  DeleteBucketLifecycle: deleteLifecycle,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
}

function document(call: Call, root: string, content: XmlNode): Reply {
  bucketOf(call)
  return xml(writeXml(root, content))
}

function listBuckets(call: Call): Reply {
  if (call.route.path !== '/') throw s3Failure('MethodNotAllowed', 'The specified method is not allowed.')
  const Bucket = [...call.storage.buckets.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((b) => ({ Name: b.name, CreationDate: new Date(b.created).toISOString() }))
  return xml(
    writeXml('ListAllMyBucketsResult', {
      Owner: { ID: OWNER_ID, DisplayName: 'longshore' },
      Buckets: { Bucket },
    }),
  )
}

async function createBucket(call: Call): Promise<Reply> {
  const { bucket } = call.route
  await receiveDocument(call)
  if (call.storage.buckets.has(bucket)) {
    throw s3Failure(
      'BucketAlreadyOwnedByYou',
      'Your previous request to create the named bucket succeeded and you already own it.',
      { BucketName: bucket },
    )
  }
  call.storage.create(bucket)
  return { status: 200, headers: { location: `/${bucket}` } }
}

function headBucket(call: Call): Reply {
  bucketOf(call)
  return { status: 200, headers: { 'x-amz-bucket-region': 'us-east-1' } }
}

function deleteBucket(call: Call): Reply {
  call.storage.remove(bucketOf(call))
  return { status: 204, headers: {} }
}

function getLifecycle(call: Call): Reply {
  const { lifecycle } = bucketOf(call)
  if (lifecycle === undefined)
    throw s3Failure('NoSuchLifecycleConfiguration', 'The lifecycle configuration does not exist')
  return xml(lifecycle)
}

async function putLifecycle(call: Call): Promise<Reply> {
  bucketOf(call).lifecycle = Buffer.from(await receiveDocument(call))
  return { status: 200, headers: {} }
}

function deleteLifecycle(call: Call): Reply {
  bucketOf(call).lifecycle = undefined
  return { status: 204, headers: {} }
}

function listObjectsV2(call: Call): Reply {
  const { query } = call.route
  const token = query.get('continuation-token')
  const startAfter = query.get('start-after') ?? ''
  const page = listPage(call, token === undefined ? startAfter : decodeToken(token))
  return xml(
    writeXml('ListBucketResult', {
      ...page.common,
      KeyCount: page.count,
      StartAfter: startAfter === '' ? undefined : page.encode(startAfter),
      ContinuationToken: token,
      NextContinuationToken:
        page.next === undefined ? undefined : Buffer.from(page.next).toString('base64url'),
      Contents: page.contents,
      CommonPrefixes: page.prefixes,
    }),
  )
}

function listObjects(call: Call): Reply {
  const marker = call.route.query.get('marker') ?? ''
  const page = listPage(call, marker)
  return xml(
    writeXml('ListBucketResult', {
      ...page.common,
      Marker: page.encode(marker),
      NextMarker: page.next === undefined ? undefined : page.encode(page.next),
      Contents: page.contents,
      CommonPrefixes: page.prefixes,
    }),
  )
}

function listPage(call: Call, after: string) {
  const bucket = bucketOf(call)
  const { query } = call.route
  const encode = encoder(query.get('encoding-type'))
  const list: ListQuery = {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    after,
    maxKeys: Math.min(wholeNumber(query.get('max-keys'), 'max-keys') ?? MAX_KEYS, MAX_KEYS),
  }
  const keys = bucket.objects.sorted()
  // Unsorted pages are counted; the count travels in the token behind a character that no key can hold.
  const position = after.startsWith('\uffff#') ? Number(after.slice(2)) : undefined
  const result = call.effects.unsorted
    ? listUnsorted(keys, { ...list, after: position === undefined ? after : '' }, position ?? 0)
    : listKeys(keys, list)
  const last = result.entries.at(-1)
  const reached = call.effects.unsorted ? `\uffff#${(position ?? 0) + result.entries.length}` : last?.name
  return {
    encode,
    next: result.truncated ? reached : undefined,
    count: result.entries.length,
    common: {
      Name: bucket.name,
      Prefix: encode(list.prefix),
      Delimiter: list.delimiter === '' ? undefined : encode(list.delimiter),
      MaxKeys: list.maxKeys,
      EncodingType: query.get('encoding-type'),
      IsTruncated: result.truncated,
    },
    contents: result.entries.filter((e) => !e.folder).map((e) => entryOf(bucket, e.name, encode)),
    prefixes: result.entries.filter((e) => e.folder).map((e) => ({ Prefix: encode(e.name) })),
  }
}

function entryOf(bucket: Bucket, key: string, encode: (text: string) => string): XmlNode {
  const object = bucket.objects.get(key)
  return {
    Key: encode(key),
    LastModified: new Date(object?.modified ?? 0).toISOString(),
    ETag: object?.etag,
    ChecksumAlgorithm: object?.checksum?.algorithm,
    ChecksumType: object?.checksum?.type,
    Size: object?.size,
    StorageClass: object?.storageClass ?? 'STANDARD',
  }
}

/** S3 writes a space as `+` and leaves slashes. */
export function encoder(type: string | undefined): (text: string) => string {
  if (type === undefined) return (text) => text
  if (type !== 'url') throw s3Failure('InvalidArgument', 'Invalid Encoding Method specified in Request')
  return (text) =>
    encodeURIComponent(text)
      .replace(/[!'()]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
      .replaceAll('%20', '+')
      .replaceAll('%2F', '/')
}

export function wholeNumber(text: string | undefined, name: string): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,9}$/.test(text))
    throw s3Failure('InvalidArgument', `Argument ${name} must be an integer between 0 and 2147483647`)
  return Number(text)
}

function decodeToken(token: string): string {
  const text = Buffer.from(token, 'base64url').toString()
  if (text === '') throw s3Failure('InvalidArgument', 'The continuation token provided is incorrect')
  return text
}

/** x-amz-expected-bucket-owner of another account is refused, as S3 does. */
export function checkOwner(call: Call): void {
  const expected = header(call, 'x-amz-expected-bucket-owner')
  if (expected !== undefined && expected !== OWNER_ID) throw s3Failure('AccessDenied', 'Access Denied')
}
