import { createHash } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { bucketOf, type Call, header, now, type Reply, receiveDocument, xml } from './call.ts'
import { combineCrc } from './combine-crc.ts'
import { writeConditions } from './conditions.ts'
import { checksumOf } from './digest-body.ts'
import { s3Failure } from './failure.ts'
import { openHasher } from './hashers.ts'
import { openUpload } from './open-upload.ts'
import { childrenOf, childText, parseXml, type XmlElement } from './parse-xml.ts'
import { stageBytes } from './staging.ts'
import { type Bucket, putObject, type StoredObject, type StoredPart, type Upload } from './storage.ts'
import { writeXml } from './write-xml.ts'

/**
 * CompleteMultipartUpload. After the body is read everything happens in one turn of the event loop: of two
 * requests with If-None-Match the first wins, whole.
 */
export async function completeUpload(call: Call): Promise<Reply> {
  const bucket = bucketOf(call)
  openUpload(call)
  const document = parseXml(
    await receiveDocument({ ...call, headers: withoutObjectChecksum(call) }),
    'CompleteMultipartUpload',
  )
  const upload = openUpload(call)
  const parts = chosenParts(call, upload, childrenOf(document, 'Part'))
  writeConditions(call, bucket.objects.get(upload.key))

  const size = parts.reduce((sum, part) => sum + part.size, 0)
  const wantedSize = header(call, 'x-amz-mp-object-size')
  if (wantedSize !== undefined && Number(wantedSize) !== size)
    throw s3Failure(
      'InvalidRequest',
      `The provided 'x-amz-mp-object-size' header value ${wantedSize} does not match what was computed: ${size}`,
    )
  const md5 = createHash('md5')
  for (const part of parts) md5.update(Buffer.from(part.etag.replaceAll('"', ''), 'hex'))
  const object: StoredObject = {
    key: upload.key,
    size,
    etag: `"${md5.digest('hex')}-${parts.length}"`,
    modified: now(),
    headers: upload.headers,
    storageClass: upload.storageClass,
    checksum: objectChecksum(call, upload, parts),
    segments: parts.map(({ file, size: bytes }) => ({ file, size: bytes })),
  }
  putObject(bucket, stageBytes(Buffer.alloc(0), bucket.stage), object)
  close(bucket, upload, parts)
  const sum = object.checksum
  return xml(
    writeXml('CompleteMultipartUploadResult', {
      Location: `http://${header(call, 'host') ?? ''}/${bucket.name}/${upload.key}`,
      Bucket: bucket.name,
      Key: upload.key,
      ETag: object.etag,
      ...(sum === undefined ? {} : { [`Checksum${sum.algorithm}`]: sum.value, ChecksumType: sum.type }),
    }),
  )
}

/** Here an x-amz-checksum header is about the object, not about the document that is sent. */
function withoutObjectChecksum(call: Call): Call['headers'] {
  return Object.fromEntries(
    Object.entries(call.headers).filter(
      ([name]) => !name.startsWith('x-amz-checksum-') && name !== 'x-amz-sdk-checksum-algorithm',
    ),
  )
}

function chosenParts(call: Call, upload: Upload, wanted: readonly XmlElement[]): StoredPart[] {
  const parts: StoredPart[] = []
  if (wanted.length === 0) throw s3Failure('MalformedXML', 'You must specify at least one part')
  for (const [index, element] of wanted.entries()) {
    const number = Number(childText(element, 'PartNumber'))
    const etag = childText(element, 'ETag')?.trim().replaceAll('"', '')
    const part = upload.parts.get(number)
    if (!Number.isInteger(number) || etag === undefined)
      throw s3Failure(
        'MalformedXML',
        'The XML you provided was not well-formed or did not validate against our published schema',
      )
    if (number <= (parts.at(-1)?.partNumber ?? 0))
      throw s3Failure(
        'InvalidPartOrder',
        'The list of parts was not in ascending order. Parts must be ordered by part number.',
      )
    if (part === undefined || part.etag.replaceAll('"', '') !== etag)
      throw s3Failure(
        'InvalidPart',
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag.",
        { PartNumber: String(number) },
      )
    checkPartChecksum(upload, part, element)
    if (index < wanted.length - 1 && part.size < call.minPartSize)
      throw s3Failure('EntityTooSmall', 'Your proposed upload is smaller than the minimum allowed size', {
        PartNumber: String(number),
        ProposedSize: String(part.size),
        MinSizeAllowed: String(call.minPartSize),
        ETag: part.etag,
      })
    parts.push(part)
  }
  return parts
}

function checkPartChecksum(upload: Upload, part: StoredPart, element: XmlElement): void {
  const { checksum } = part
  const given = element.children.find((child) => child.name.startsWith('Checksum'))
  if (given === undefined) {
    if (upload.type === 'COMPOSITE')
      throw s3Failure(
        'InvalidRequest',
        `The upload was created using a ${upload.algorithm?.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${part.partNumber} in the request.`,
      )
    return
  }
  if (
    checksum === undefined ||
    given.name !== `Checksum${checksum.algorithm}` ||
    given.text.trim() !== checksum.value
  )
    throw s3Failure(
      'InvalidPart',
      'One or more of the specified parts could not be found. The checksum of a part does not match.',
      {
        PartNumber: String(part.partNumber),
      },
    )
}

function objectChecksum(call: Call, upload: Upload, parts: readonly StoredPart[]): StoredObject['checksum'] {
  const { algorithm, type } = upload
  if (algorithm === undefined || type === undefined) return undefined
  const declared = header(call, 'x-amz-checksum-type')
  if (declared !== undefined && declared !== type)
    throw s3Failure(
      'InvalidRequest',
      `The upload was created using the ${type} checksum mode. The complete request must use the same checksum mode.`,
    )
  const sums = parts.map((part) => Buffer.from(part.checksum?.value ?? '', 'base64'))
  let value: string
  if (type === 'COMPOSITE') {
    const hasher = openHasher(algorithm)
    for (const sum of sums) hasher.update(sum)
    value = `${hasher.digest().toString('base64')}-${parts.length}`
  } else {
    let whole: Buffer = sums[0] ?? Buffer.alloc(0)
    for (const [index, part] of parts.entries()) {
      if (index > 0) whole = combineCrc(algorithm, whole, sums[index] ?? Buffer.alloc(0), part.size)
    }
    value = whole.toString('base64')
  }
  const given = checksumOf(call.headers)
  if (
    given !== undefined &&
    (given.algorithm !== algorithm || given.value.replace(/-\d+$/, '') !== value.replace(/-\d+$/, ''))
  )
    throw s3Failure('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
  return { algorithm, value, type }
}

/** The chosen parts stay as the object's bytes; everything else of the upload goes. */
function close(bucket: Bucket, upload: Upload, parts: readonly StoredPart[]): void {
  bucket.uploads.delete(upload.id)
  const dir = path.join(bucket.dir, 'parts', upload.id)
  const used = new Set(parts.map((part) => path.basename(part.file)))
  for (const name of readdirSync(dir)) if (!used.has(name)) rmSync(path.join(dir, name), { force: true })
}
