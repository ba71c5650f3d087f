import { s3Failure } from './failure.ts'

export const OPERATIONS = [
  'ListBuckets',
  'CreateBucket',
  'HeadBucket',
  'DeleteBucket',
  'GetBucketLocation',
  'GetBucketVersioning',
  'GetBucketLifecycleConfiguration',
  'PutBucketLifecycleConfiguration',
  'DeleteBucketLifecycle',
  'ListObjects',
  'ListObjectsV2',
  'ListMultipartUploads',
  'DeleteObjects',
  'GetObject',
  'HeadObject',
  'PutObject',
  'CopyObject',
  'DeleteObject',
  'CreateMultipartUpload',
  'UploadPart',
  'UploadPartCopy',
  'CompleteMultipartUpload',
  'AbortMultipartUpload',
  'ListParts',
  'Unknown',
] as const

export type Operation = (typeof OPERATIONS)[number]

export interface Route {
  operation: Operation
  bucket: string
  key: string
  /** Decoded path, as it is signed. */
  path: string
  query: ReadonlyMap<string, string>
}

/** Names that pick a sub-resource. One that the operation does not know is refused, never read over. */
const SUBRESOURCES = new Set(
  `accelerate acl analytics attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle
  location logging metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock
  replication requestPayment restore retention select session tagging torrent uploads versioning versions website
  versionId partNumber append renameObject`.split(/\s+/),
)

/** Which operation a request asks for. Path style, or virtual-host style where Host is `bucket.<domain>`. */
export function route(
  method: string,
  url: string,
  host: string,
  domains: readonly string[],
  copySource: boolean,
): Route {
  const mark = url.indexOf('?')
  const path = decode(mark === -1 ? url : url.slice(0, mark))
  const query = parseQuery(mark === -1 ? '' : url.slice(mark + 1))
  const hostName = host.replace(/:\d+$/, '').toLowerCase()
  let bucket: string
  let key: string
  const domain = domains.includes(hostName)
    ? undefined
    : domains.find((name) => hostName.endsWith(`.${name}`))
  if (domain !== undefined) {
    bucket = hostName.slice(0, -domain.length - 1)
    key = path.slice(1)
  } else {
    const slash = path.indexOf('/', 1)
    bucket = slash === -1 ? path.slice(1) : path.slice(1, slash)
    key = slash === -1 ? '' : path.slice(slash + 1)
  }
  const operation = bucket === '' ? 'ListBuckets' : operationOf(method, key, query, copySource)
  return { operation, bucket, key, path, query }
}

function operationOf(
  method: string,
  key: string,
  query: ReadonlyMap<string, string>,
  copy: boolean,
): Operation {
  const asked = [...query.keys()].filter((name) => SUBRESOURCES.has(name)).join(' ')
  if (key === '') {
    if (method === 'GET' && asked === '')
      return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects'
    return BUCKET_OPERATIONS[`${method} ${asked}`] ?? 'Unknown'
  }
  const upload = query.has('uploadId')
  if (method === 'PUT' && upload && asked === 'partNumber') return copy ? 'UploadPartCopy' : 'UploadPart'
  if (method === 'POST' && !upload && asked === 'uploads') return 'CreateMultipartUpload'
  if (asked !== '') return 'Unknown'
  if (upload) return UPLOAD_OPERATIONS[method] ?? 'Unknown'
  if (method === 'PUT') return copy ? 'CopyObject' : 'PutObject'
  return OBJECT_OPERATIONS[method] ?? 'Unknown'
}

const BUCKET_OPERATIONS: Record<string, Operation> = {
  'PUT ': 'CreateBucket',
  'HEAD ': 'HeadBucket',
  'DELETE ': 'DeleteBucket',
  'GET location': 'GetBucketLocation',
  'GET versioning': 'GetBucketVersioning',
  'GET lifecycle': 'GetBucketLifecycleConfiguration',
  'PUT lifecycle': 'PutBucketLifecycleConfiguration',
  'DELETE lifecycle': 'DeleteBucketLifecycle',
  'GET uploads': 'ListMultipartUploads',
  'POST delete': 'DeleteObjects',
}

const UPLOAD_OPERATIONS: Record<string, Operation> = {
  GET: 'ListParts',
  POST: 'CompleteMultipartUpload',
  DELETE: 'AbortMultipartUpload',
}

const OBJECT_OPERATIONS: Record<string, Operation> = {
  GET: 'GetObject',
  HEAD: 'HeadObject',
  DELETE: 'DeleteObject',
}

function parseQuery(text: string): Map<string, string> {
  const query = new Map<string, string>()
  for (const pair of text === '' ? [] : text.split('&')) {
    const equals = pair.indexOf('=')
    const name = equals === -1 ? pair : pair.slice(0, equals)
    const value = equals === -1 ? '' : pair.slice(equals + 1)
    query.set(decode(name.replaceAll('+', ' ')), decode(value.replaceAll('+', ' ')))
  }
  return query
}

function decode(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    throw s3Failure('InvalidURI', "Couldn't parse the specified URI.")
  }
}
