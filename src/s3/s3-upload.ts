import { createHash } from 'node:crypto'
import { crc32Combine, crcBase64 } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { bareEtag } from './etag.ts'
import type { Failure } from './failure.ts'
import { commonInput, writeInput } from './input.ts'
import { headS3 } from './s3-read.ts'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListPartsCommand,
  UploadPartCommand,
} from './sdk.ts'
import type { Call, Session } from './send.ts'
import type {
  CallOptions,
  CompleteRequest,
  ObjectInfo,
  PartRequest,
  UploadedPart,
  WriteOutcome,
} from './store.ts'

export async function createS3Upload(
  session: Session,
  key: string,
  options: CallOptions = {},
): Promise<string> {
  const { UploadId } = await session.send({ ...options, kind: 'CREATE', key }, (client, send) =>
    client.send(
      new CreateMultipartUploadCommand({
        ...writeInput(session),
        Key: key,
        // FULL_OBJECT: the finished object has one CRC-32 of all its bytes, which every later reader can check.
        ...(session.learned.noChecksums ? {} : { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' }),
      }),
      send,
    ),
  )
  if (UploadId) return UploadId
  throw odd(session, key, 'no upload id in the answer')
}

export async function putS3Part(
  session: Session,
  request: PartRequest,
  options: CallOptions = {},
): Promise<UploadedPart> {
  const { key, uploadId, partNumber, body, crc32 } = request
  const { ETag } = await session.send({ ...options, kind: 'PART', key }, (client, send) =>
    client.send(
      new UploadPartCommand({
        ...commonInput(session),
        Key: key,
        UploadId: uploadId,
        PartNumber: partNumber,
        Body: body,
        ContentLength: body.length,
        ...(session.learned.noChecksums ? {} : { ChecksumCRC32: crcBase64(crc32) }),
      }),
      send,
    ),
  )
  if (ETag) return { partNumber, etag: ETag, size: body.length, crc32 }
  throw odd(session, key, `no ETag for part ${partNumber}`)
}

export async function completeS3Upload(
  session: Session,
  request: CompleteRequest,
  options: CallOptions = {},
): Promise<WriteOutcome> {
  const { key, uploadId, parts, condition } = request
  const whole = session.learned.noChecksums ? undefined : wholeCrc(request)
  let final: Failure | undefined
  const onFinal = (failure: Failure) => {
    final = failure
  }
  const call: Call = { ...options, kind: 'COMPLETE', key, onFinal }
  try {
    const done = await session.send(call, (client, send) =>
      client.send(
        new CompleteMultipartUploadCommand({
          ...commonInput(session),
          Key: key,
          UploadId: uploadId,
          ...(condition === 'absent' ? { IfNoneMatch: '*' } : {}),
          ...(whole === undefined ? {} : { ChecksumCRC32: crcBase64(whole), ChecksumType: 'FULL_OBJECT' }),
          MultipartUpload: { Parts: parts.map((part) => partInput(session, part)) },
        }),
        send,
      ),
    )
    return { status: 'written', etag: done.ETag ?? '' }
  } catch (error) {
    // The upload is gone after it was completed, by this call's lost answer or by a run that was killed then.
    const gone = final?.code === 'NoSuchUpload' || final?.status === 404
    const taken = final?.status === 412 && condition === 'absent'
    const unsure = call.ambiguous === true && final?.remedy === 'again'
    if (!gone && !taken && !unsure) throw error
    const there = await headS3(session, key, options)
    if (there !== undefined && isOurs(there, request)) return { status: 'written', etag: there.etag }
    if (there !== undefined && condition === 'absent') return { status: 'exists' }
    throw error
  }
}

export async function abortS3Upload(
  session: Session,
  key: string,
  uploadId: string,
  options: CallOptions = {},
): Promise<void> {
  let final: Failure | undefined
  const onFinal = (failure: Failure) => {
    final = failure
  }
  try {
    await session.send({ ...options, kind: 'ABORT', key, onFinal }, (client, send) =>
      client.send(
        new AbortMultipartUploadCommand({ ...commonInput(session), Key: key, UploadId: uploadId }),
        send,
      ),
    )
  } catch (error) {
    if (final?.status !== 404) throw error
  }
}

export async function listS3Parts(
  session: Session,
  key: string,
  uploadId: string,
  options: CallOptions = {},
): Promise<UploadedPart[] | undefined> {
  const parts: UploadedPart[] = []
  let marker: string | undefined
  do {
    let final: Failure | undefined
    const onFinal = (failure: Failure) => {
      final = failure
    }
    const input = {
      ...commonInput(session),
      Key: key,
      UploadId: uploadId,
      ...(marker === undefined ? {} : { PartNumberMarker: marker }),
    }
    try {
      const page = await session.send({ ...options, kind: 'LISTPARTS', key, onFinal }, (client, send) =>
        client.send(new ListPartsCommand(input), send),
      )
      for (const { PartNumber, ETag, Size, ChecksumCRC32 } of page.Parts ?? []) {
        if (PartNumber === undefined || !ETag) throw odd(session, key, 'a part without number or ETag')
        const crc = decodeCrc(ChecksumCRC32)
        const known = crc === undefined ? {} : { crc32: crc }
        parts.push({ partNumber: PartNumber, etag: ETag, size: Size ?? 0, ...known })
      }
      const next = page.IsTruncated ? page.NextPartNumberMarker : undefined
      if (page.IsTruncated && (next === undefined || next === marker))
        throw odd(session, key, 'an endless part list')
      marker = next
    } catch (error) {
      if (final?.status === 404) return undefined
      throw error
    }
  } while (marker !== undefined)
  return parts
}

function partInput(
  session: Session,
  part: UploadedPart,
): { PartNumber: number; ETag: string; ChecksumCRC32?: string } {
  const known =
    part.crc32 === undefined || session.learned.noChecksums ? {} : { ChecksumCRC32: crcBase64(part.crc32) }
  return { PartNumber: part.partNumber, ETag: part.etag, ...known }
}

/** CRC-32 of the whole object from its parts', where all of them are known. */
function wholeCrc(request: CompleteRequest): number | undefined {
  let crc = 0
  let size = 0
  for (const part of request.parts) {
    if (part.crc32 === undefined) return undefined
    crc = size === 0 ? part.crc32 : crc32Combine(crc, part.crc32, part.size)
    size += part.size
  }
  return size === request.size ? crc : undefined
}

/**
 * Is the object there the one that these parts make? Its CRC-32 decides where it has one, then the multipart ETag
 * (MD5 of the parts' MD5s and their count); encrypted objects have another ETag, which then proves nothing.
 */
function isOurs(there: ObjectInfo, request: CompleteRequest): boolean {
  if (there.size !== request.size) return false
  const crc = wholeCrc(request)
  if (crc !== undefined && there.checksums.crc32 !== undefined)
    return there.checksums.crc32 === crcBase64(crc)
  return bareEtag(there.etag) === multipartEtag(request.parts)
}

function multipartEtag(parts: readonly UploadedPart[]): string | undefined {
  const md5 = createHash('md5')
  for (const { etag } of parts) {
    const hex = bareEtag(etag)
    if (!/^[0-9a-f]{32}$/.test(hex)) return undefined
    md5.update(Buffer.from(hex, 'hex'))
  }
  return `${md5.digest('hex')}-${parts.length}`
}

function decodeCrc(text: string | undefined): number | undefined {
  const bytes = Buffer.from(text ?? '', 'base64')
  return bytes.length === 4 ? bytes.readUInt32BE() : undefined
}

/** An answer that no S3 server gives. */
export function odd(session: Session, key: string, why: string): LongshoreError {
  const path = `${session.url}/${key}`
  return new LongshoreError('SERVER', `${path}: ${why}`, { path, hint: 'is this an S3 server?' })
}
