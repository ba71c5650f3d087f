import type { Quirk } from './suite.ts'

/** What SeaweedFS 4.48 lacks of S3, as the suite found it. */
export const SEAWEEDFS_QUIRKS: Partial<Record<Quirk, string>> = {
  backslash: 'listed as a slash',
  'double-slash': 'rewritten to one slash',
  'dot-segments': 'refused as InvalidRequest',
  'folder-data': 'the bytes are dropped',
  'long-keys': 'the connection is cut at 1,024 bytes',
  'payload-hash': 'stores a body whose SHA-256 is another',
  'content-encoding': 'aws-chunked stays in Content-Encoding',
  'part-checksums': 'ListParts gives none',
  'virtual-host': 'needs -s3.domainName',
  'complete-race': 'the condition is looked at before the write, not with it',
  'chunk-error': 'answers 500 InternalError',
  'absent-if-match': 'answers 412',
  'uploads-order': 'in no order',
}

/** What versitygw 1.8.0 (posix) lacks of S3. */
export const VERSITYGW_QUIRKS: Partial<Record<Quirk, string>> = {
  'double-slash': 'keys are paths of a file system',
  'dot-segments': 'keys are paths of a file system',
  'key-and-folder': 'x and x/y cannot both exist',
  'folder-data': 'refused as DirectoryObjectContainsData',
  'long-keys': 'a segment is at most 255 bytes',
  'if-modified-since': 'answers 200 for what is unchanged',
  'content-encoding': 'aws-chunked stays in Content-Encoding',
  'encoding-type': 'keys come unencoded',
  'list-parts-marker': 'the marker is on the last page too',
  'uploads-paging': 'page 2 is refused as InvalidArgument',
  'access-key-name': 'answers 404 XAdminUserNotFound',
  'virtual-host': 'needs --virtual-domain',
  'copy-none-match': 'answers 304',
}
