import { createHash } from 'node:crypto'
import { bucketOf, type Call, checkKey, header, now, type Reply, receive, xml } from './call.ts'
import { preconditionFailed, readConditions, writeConditions } from './conditions.ts'
import { s3Failure } from './failure.ts'
import { openHasher } from './hashers.ts'
import { headersToKeep } from './object-headers.ts'
import { readObject } from './read-object.ts'
import { stage } from './staging.ts'
import { type Bucket, putObject, type StoredObject } from './storage.ts'
import { writeXml } from './write-xml.ts'

const MAX_COPY = 5 * 1024 ** 3

/** CopyObject: the copy is one whole object, whatever the source was made of. */
export async function copyObject(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  const { key } = call.route
  checkKey(key)
  const source = copySource(call)
  const replace = header(call, 'x-amz-metadata-directive') === 'REPLACE'
  const asked = headersToKeep(call)
  const itself = source.bucket === bucket && source.object.key === key
  if (itself && !replace && asked.storageClass === source.object.storageClass)
    throw s3Failure(
      'InvalidRequest',
      'This copy request is illegal because it is trying to copy an object to itself without changing its metadata, storage class, website redirect location or encryption attributes.',
    )
  if (source.object.size > MAX_COPY)
    throw s3Failure(
      'InvalidRequest',
      'The specified copy source is larger than the maximum allowable size for a copy source: 5368709120',
    )
  writeConditions(call, bucket.objects.get(key))
  await receive(call, bucket.stage)

  const md5 = createHash('md5')
  const algorithm = source.object.checksum?.algorithm
  const hasher = algorithm === undefined ? undefined : openHasher(algorithm)
  async function* bytes(): AsyncGenerator<Buffer> {
    for await (const chunk of copyBytes(source.bucket, source.object)) {
      md5.update(chunk)
      hasher?.update(chunk)
      yield chunk
    }
  }
  const staged = await stage(bytes(), bucket.stage)
  try {
    writeConditions(call, bucketOf(call).objects.get(key))
  } catch (error) {
    staged.discard()
    throw error
  }
  const copy: StoredObject = {
    key,
    size: staged.size,
    etag: `"${md5.digest('hex')}"`,
    modified: now(),
    headers: replace ? asked.headers : source.object.headers,
    storageClass: asked.storageClass,
    checksum:
      algorithm === undefined || hasher === undefined
        ? undefined
        : { algorithm, value: hasher.digest().toString('base64'), type: 'FULL_OBJECT' },
  }
  putObject(bucket, staged, copy)
  const checksum =
    copy.checksum === undefined ? {} : { [`Checksum${copy.checksum.algorithm}`]: copy.checksum.value }
  return xml(
    writeXml('CopyObjectResult', {
      LastModified: new Date(copy.modified).toISOString(),
      ETag: copy.etag,
      ...checksum,
    }),
  )
}

/** The object that x-amz-copy-source names, with its conditions checked. */
export function copySource(call: Call): { bucket: Bucket; object: StoredObject } {
  const text = decodeSource(header(call, 'x-amz-copy-source') ?? '')
  const slash = text.indexOf('/')
  const bucket = call.storage.buckets.get(text.slice(0, slash))
  const key = text.slice(slash + 1)
  if (slash < 1 || key === '') throw s3Failure('InvalidArgument', 'Invalid copy source object key')
  if (bucket === undefined)
    throw s3Failure('NoSuchBucket', 'The specified bucket does not exist', {
      BucketName: text.slice(0, slash),
    })
  const object = bucket.objects.get(key)
  if (object === undefined) throw s3Failure('NoSuchKey', 'The specified key does not exist.', { Key: key })
  if (!readConditions(call, object, 'x-amz-copy-source-'))
    throw preconditionFailed('x-amz-copy-source-If-None-Match')
  return { bucket, object }
}

export async function* copyBytes(
  bucket: Bucket,
  object: StoredObject,
  from = 0,
  length = object.size,
): AsyncGenerator<Buffer> {
  const body = readObject(bucket, object, from, length)
  if (Buffer.isBuffer(body)) yield body
  else yield* body.chunks()
}

function decodeSource(text: string): string {
  if (text.includes('?')) throw s3Failure('NotImplemented', 'Copying a version is not implemented.')
  try {
    return decodeURIComponent(text).replace(/^\//, '')
  } catch {
    throw s3Failure('InvalidArgument', 'Invalid copy source encoding.')
  }
}
