import { type Call, header } from './call.ts'
import { checksumHeader } from './digest-body.ts'
import { s3Failure } from './failure.ts'
import type { StoredObject } from './storage.ts'

const KEPT = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-language',
  'expires',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-website-redirect-location',
]
/** Asking for these and not getting them would be a lie. */
const REFUSED = /^x-amz-(?:tagging$|object-lock-|server-side-encryption-customer-|grant-|write-offset-bytes)/
const STORAGE_CLASSES = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
  'EXPRESS_ONEZONE',
])

/** What a PUT, CopyObject or CreateMultipartUpload says about the object, to be returned with it. */
export function headersToKeep(call: Call): Pick<StoredObject, 'headers' | 'storageClass'> {
  const headers: Record<string, string> = {}
  for (const name of KEPT) {
    const value = header(call, name)
    if (value !== undefined) headers[name] = value
  }
  for (const name of Object.keys(call.headers)) {
    if (REFUSED.test(name)) {
      throw s3Failure(
        'NotImplemented',
        'A header you provided implies functionality that is not implemented',
        {
          Header: name,
        },
      )
    }
    if (name.startsWith('x-amz-meta-')) headers[name] = header(call, name) ?? ''
  }
  const encoding = (header(call, 'content-encoding') ?? '')
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'aws-chunked')
  if (encoding.length > 0) headers['content-encoding'] = encoding.join(',')
  const storageClass = header(call, 'x-amz-storage-class')
  if (storageClass !== undefined && !STORAGE_CLASSES.has(storageClass))
    throw s3Failure('InvalidRequest', 'The storage class you specified is not valid')
  return { headers, storageClass: storageClass === 'STANDARD' ? undefined : storageClass }
}

/** Headers of GET and HEAD. Checksums are of the whole object, so a range goes without. */
export function objectHeaders(
  call: Call,
  object: StoredObject,
  whole: boolean,
): Record<string, string | number> {
  const headers: Record<string, string | number> = {
    'content-type': 'binary/octet-stream',
    ...object.headers,
    etag: object.etag,
    'last-modified': new Date(object.modified).toUTCString(),
    'accept-ranges': 'bytes',
  }
  if (object.storageClass !== undefined) headers['x-amz-storage-class'] = object.storageClass
  const asked = header(call, 'x-amz-checksum-mode') === 'ENABLED' && call.effects.noChecksums === undefined
  if (whole && asked && object.checksum !== undefined) {
    headers[checksumHeader(object.checksum.algorithm)] = object.checksum.value
    headers['x-amz-checksum-type'] = object.checksum.type
  }
  return headers
}
