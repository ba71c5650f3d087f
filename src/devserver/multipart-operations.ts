import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { wholeNumber } from './bucket-operations.ts'
import { bucketOf, type Call, checkKey, header, type Reply, receive, xml } from './call.ts'
import { completeUpload } from './complete-upload.ts'
import { copyBytes, copySource } from './copy-object.ts'
import { type Checksum, checksumHeader } from './digest-body.ts'
import { s3Failure } from './failure.ts'
import { isAlgorithm, openHasher } from './hashers.ts'
import { listParts, listUploads } from './multipart-listings.ts'
import { headersToKeep } from './object-headers.ts'
import { openUpload } from './open-upload.ts'
import type { Operation } from './route.ts'
import { type Staged, stage, stageBytes } from './staging.ts'
import type { Bucket, ChecksumType, StoredPart, Upload } from './storage.ts'
import { writeXml } from './write-xml.ts'

const MAX_PARTS = 10_000

export const MULTIPART_HANDLERS: Partial<Record<Operation, (call: Call) => Promise<Reply> | Reply>> = {
  CreateMultipartUpload: createUpload,
  UploadPart: uploadPart,
  UploadPartCopy: uploadPartCopy,
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload: abortUpload,
  ListParts: listParts,
  ListMultipartUploads: listUploads,
}

async function createUpload(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  const { key } = call.route
  checkKey(key)
  const algorithm = header(call, 'x-amz-checksum-algorithm')
  const type = header(call, 'x-amz-checksum-type')
  if (algorithm !== undefined && !isAlgorithm(algorithm))
    throw s3Failure('InvalidRequest', 'Checksum algorithm provided is unsupported.')
  const full = algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  const possible = algorithm?.startsWith('SHA')
    ? ['COMPOSITE']
    : algorithm === 'CRC64NVME'
      ? ['FULL_OBJECT']
      : ['FULL_OBJECT', 'COMPOSITE']
  if (type !== undefined && (algorithm === undefined || !possible.includes(type)))
    throw s3Failure(
      'InvalidRequest',
      `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    )
  await receive(call, bucket.stage)
  const upload: Upload = {
    id: randomBytes(18).toString('base64url'),
    key,
    initiated: Date.now(),
    ...headersToKeep(call),
    algorithm,
    type: algorithm === undefined ? undefined : ((type as ChecksumType | undefined) ?? full),
    parts: new Map(),
  }
  const dir = path.join(bucket.dir, 'parts', upload.id)
  mkdirSync(dir)
  stageBytes(Buffer.alloc(0), bucket.stage).place(path.join(dir, 'upload'), { ...upload, parts: undefined })
  bucket.uploads.set(upload.id, upload)
  const body = writeXml('InitiateMultipartUploadResult', {
    Bucket: bucket.name,
    Key: key,
    UploadId: upload.id,
  })
  const reply = xml(body)
  if (upload.algorithm !== undefined) reply.headers['x-amz-checksum-algorithm'] = upload.algorithm
  if (upload.type !== undefined) reply.headers['x-amz-checksum-type'] = upload.type
  return reply
}

async function uploadPart(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  const upload = openUpload(call)
  const partNumber = partNumberOf(call)
  const { staged, md5, checksum } = await receive(call, bucket.stage)
  if (upload.algorithm !== undefined && checksum?.algorithm !== upload.algorithm) {
    staged.discard()
    throw s3Failure(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${upload.algorithm.toLowerCase()}, actual checksum Type: ${checksum?.algorithm.toLowerCase() ?? 'null'}`,
    )
  }
  const part = keepPart(call, { bucket, upload, partNumber, staged, md5, checksum })
  const headers: Record<string, string> = { etag: part.etag }
  if (checksum !== undefined) headers[checksumHeader(checksum.algorithm)] = checksum.value
  return { status: 200, headers }
}

async function uploadPartCopy(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  const upload = openUpload(call)
  const partNumber = partNumberOf(call)
  const source = copySource(call)
  const range = header(call, 'x-amz-copy-source-range')
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? `bytes=0-${Math.max(source.object.size - 1, 0)}`)
  const [first, last] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || first > last || (range !== undefined && last >= source.object.size))
    throw s3Failure('InvalidArgument', 'Range specified is not valid for source object', {
      Range: range ?? '',
    })
  await receive(call, bucket.stage)
  const md5 = createHash('md5')
  const hasher = upload.algorithm === undefined ? undefined : openHasher(upload.algorithm)
  async function* bytes(): AsyncGenerator<Buffer> {
    const length = Math.min(last + 1, source.object.size) - first
    for await (const chunk of copyBytes(source.bucket, source.object, first, length)) {
      md5.update(chunk)
      hasher?.update(chunk)
      yield chunk
    }
  }
  const staged = await stage(bytes(), bucket.stage)
  const checksum =
    upload.algorithm === undefined || hasher === undefined
      ? undefined
      : { algorithm: upload.algorithm, value: hasher.digest().toString('base64') }
  const part = keepPart(call, { bucket, upload, partNumber, staged, md5: md5.digest(), checksum })
  const sum = checksum === undefined ? {} : { [`Checksum${checksum.algorithm}`]: checksum.value }
  return xml(
    writeXml('CopyPartResult', {
      LastModified: new Date(part.modified).toISOString(),
      ETag: part.etag,
      ...sum,
    }),
  )
}

interface NewPart {
  bucket: Bucket
  upload: Upload
  partNumber: number
  staged: Staged
  md5: Buffer
  checksum: Checksum | undefined
}

function keepPart(call: Call, { bucket, upload, partNumber, staged, md5, checksum }: NewPart): StoredPart {
  // Completed or aborted while the bytes were on their way.
  if (bucket.uploads.get(upload.id) !== upload) {
    staged.discard()
    openUpload(call)
  }
  const name = `${String(partNumber).padStart(5, '0')}.${randomBytes(6).toString('hex')}`
  const part: StoredPart = {
    partNumber,
    file: `parts/${upload.id}/${name}`,
    size: staged.size,
    etag: `"${md5.toString('hex')}"`,
    modified: Date.now(),
    checksum,
  }
  staged.place(path.join(bucket.dir, part.file), part)
  const older = upload.parts.get(partNumber)
  upload.parts.set(partNumber, part)
  if (older !== undefined) rmSync(path.join(bucket.dir, older.file), { force: true })
  return part
}

function abortUpload(call: Call): Reply {
  const bucket = bucketOf(call)
  const upload = openUpload(call)
  bucket.uploads.delete(upload.id)
  rmSync(path.join(bucket.dir, 'parts', upload.id), { recursive: true, force: true })
  return { status: 204, headers: {} }
}

function partNumberOf(call: Call): number {
  const partNumber = wholeNumber(call.route.query.get('partNumber'), 'partNumber') ?? 0
  if (partNumber < 1 || partNumber > MAX_PARTS)
    throw s3Failure('InvalidArgument', `Part number must be an integer between 1 and ${MAX_PARTS}, inclusive`)
  return partNumber
}
