import { encoder, wholeNumber } from './bucket-operations.ts'
import { bucketOf, type Call, type Reply, xml } from './call.ts'
import { compareKeys } from './key-index.ts'
import { openUpload } from './open-upload.ts'
import type { Upload } from './storage.ts'
import { writeXml } from './write-xml.ts'

const MAX_PAGE = 1000

/** Parts of one open upload, by number. */
export function listParts(call: Call): Reply {
  const bucket = bucketOf(call)
  const upload = openUpload(call)
  const { query } = call.route
  const encode = encoder(query.get('encoding-type'))
  const maxParts = Math.min(wholeNumber(query.get('max-parts'), 'max-parts') ?? MAX_PAGE, MAX_PAGE)
  const after = wholeNumber(query.get('part-number-marker'), 'part-number-marker') ?? 0
  const parts = [...upload.parts.values()]
    .filter((p) => p.partNumber > after)
    .sort((a, b) => a.partNumber - b.partNumber)
  const page = parts.slice(0, maxParts)
  return xml(
    writeXml('ListPartsResult', {
      Bucket: bucket.name,
      Key: encode(upload.key),
      UploadId: upload.id,
      PartNumberMarker: after,
      NextPartNumberMarker: parts.length > page.length ? (page.at(-1)?.partNumber ?? after) : undefined,
      MaxParts: maxParts,
      IsTruncated: parts.length > page.length,
      StorageClass: upload.storageClass ?? 'STANDARD',
      ChecksumAlgorithm: upload.algorithm,
      ChecksumType: upload.type,
      Part: page.map((part) => ({
        PartNumber: part.partNumber,
        LastModified: new Date(part.modified).toISOString(),
        ETag: part.etag,
        Size: part.size,
        // S3 lists checksums only of uploads that were created with an algorithm.
        ...(part.checksum === undefined ||
        upload.algorithm === undefined ||
        call.effects.noChecksums !== undefined
          ? {}
          : { [`Checksum${part.checksum.algorithm}`]: part.checksum.value }),
      })),
    }),
  )
}

/** In order of key, then of beginning; the markers are the last upload of the page before. */
export function listUploads(call: Call): Reply {
  const bucket = bucketOf(call)
  const { query } = call.route
  const encode = encoder(query.get('encoding-type'))
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = keyMarker === '' ? '' : (query.get('upload-id-marker') ?? '')
  const max = Math.min(wholeNumber(query.get('max-uploads'), 'max-uploads') ?? MAX_PAGE, MAX_PAGE)
  const all = [...bucket.uploads.values()]
    .filter((upload) => upload.key.startsWith(prefix))
    .sort((a, b) => compareKeys(a.key, b.key) || a.initiated - b.initiated || (a.id < b.id ? -1 : 1))
  const marked = all.findIndex((upload) => upload.key === keyMarker && upload.id === idMarker)
  const rest = marked === -1 ? all.filter((u) => compareKeys(u.key, keyMarker) > 0) : all.slice(marked + 1)

  const page: Upload[] = []
  const prefixes = new Set<string>()
  let reached: Upload | undefined
  let truncated = false
  for (const upload of rest) {
    const cut = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length)
    const folder = cut === -1 ? undefined : upload.key.slice(0, cut + delimiter.length)
    const known = folder !== undefined && (prefixes.has(folder) || keyMarker.startsWith(folder))
    if (!known && page.length + prefixes.size === max) {
      truncated = true
      break
    }
    reached = upload
    if (folder === undefined) page.push(upload)
    else if (!known) prefixes.add(folder)
  }
  return xml(
    writeXml('ListMultipartUploadsResult', {
      Bucket: bucket.name,
      KeyMarker: encode(keyMarker),
      UploadIdMarker: idMarker,
      NextKeyMarker: truncated ? encode(reached?.key ?? keyMarker) : undefined,
      NextUploadIdMarker: truncated ? (reached?.id ?? idMarker) : undefined,
      Prefix: encode(prefix),
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      EncodingType: query.get('encoding-type'),
      MaxUploads: max,
      IsTruncated: truncated,
      Upload: page.map((upload) => ({
        Key: encode(upload.key),
        UploadId: upload.id,
        StorageClass: upload.storageClass ?? 'STANDARD',
        Initiated: new Date(upload.initiated).toISOString(),
        ChecksumAlgorithm: upload.algorithm,
        ChecksumType: upload.type,
      })),
      CommonPrefixes: [...prefixes].map((name) => ({ Prefix: encode(name) })),
    }),
  )
}
