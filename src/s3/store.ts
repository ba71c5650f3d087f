import type { Readable } from 'node:stream'
import type { NoWire, WireTarget } from './wire/types.ts'

/**
 * A store: a bucket, or a local folder that is used like one. Both pass the same tests (test/s3/store.test.ts).
 *
 * Contract for every method: it has a deadline of its own, retries what is worth retrying (429, 5xx, resets,
 * time-outs, with backoff and jitter) and otherwise throws a LongshoreError whose `path` is the key's URL.
 * An abort of `signal` rejects with the signal's reason. Bodies are opened by src/transfer only.
 */
export interface ObjectStore {
  readonly kind: 's3' | 'local'
  /** `s3://bucket` or `file:///absolute/folder`, never with a trailing slash. Unique within an engine. */
  readonly url: string
  /** First folder of the cache tree: `aws`, or `host_port` of the endpoint, or `local`. */
  readonly place: string
  /** Second folder of the cache tree: the bucket's name, or the local folder's escaped absolute path. */
  readonly bucket: string

  /** Pages in the server's own order, which is NOT always the order of the key's bytes (Express, SeaweedFS). */
  listPages(options: ListOptions): AsyncIterable<ListPage>
  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined>
  /** Deletes; missing keys are no error. Rejects if any key could not be deleted, naming the first. */
  remove(keys: readonly string[], options?: CallOptions): Promise<void>

  /** Reads one range into `into` (whole: `into.length` bytes), checking If-Match, length, Content-Range and ETag. */
  getInto(request: GetRequest, into: Uint8Array, options?: CallOptions): Promise<GotBytes>
  /** A whole small object, or undefined when it does not exist. Larger than `maxBytes`: INTEGRITY. */
  getDocument(key: string, options: CallOptions & { maxBytes: number }): Promise<Document | undefined>
  /** One PUT. With a condition the outcome may be 'exists' (412/409): the caller reads and compares. */
  put(request: PutRequest, options?: CallOptions): Promise<WriteOutcome>
  /** A stream of unknown length (lib-storage on S3). Unconditional. */
  putStream(key: string, body: Readable, options?: CallOptions): Promise<WriteOutcome>

  createUpload(key: string, options?: CallOptions): Promise<string>
  putPart(request: PartRequest, options?: CallOptions): Promise<UploadedPart>
  /** Makes the object appear, whole. A lost answer is resolved by looking (size, part count in the ETag), not by guessing. */
  completeUpload(request: CompleteRequest, options?: CallOptions): Promise<WriteOutcome>
  /** Idempotent: an unknown upload is no error. */
  abortUpload(key: string, uploadId: string, options?: CallOptions): Promise<void>
  /** undefined: no such upload any more. */
  listParts(key: string, uploadId: string, options?: CallOptions): Promise<UploadedPart[] | undefined>
  listUploads(prefix: string, options?: CallOptions): AsyncIterable<OpenUpload>
  /**
   * How the wire lane reaches this bucket now, or why it can't; absent: a store that has no wire (a local folder).
   * Asked again after whatever may have changed it: a refusal that the SDK lane mended, credentials near their end.
   */
  wire?(): Promise<WireTarget | NoWire>
  /** Frees sockets and timers. */
  close(): Promise<void>
}

export interface CallOptions {
  signal?: AbortSignal | undefined
  /** Called before each attempt with the kind of request it is: 'GET', 'PUT', 'PART', 'HEAD', 'LIST' … */
  onRequest?: ((kind: string) => void) | undefined
  /** Answered: one that was asked behind another on its connection. */
  onBehind?: (() => void) | undefined
  /** Called before each further attempt. `slowDown`: the server asked for fewer requests (429, 503). */
  onRetry?: ((retry: { reason: string; slowDown: boolean }) => void) | undefined
}

export interface ListOptions extends CallOptions {
  /** A key prefix, as given: '' or ending in '/' for folders. */
  prefix: string
  /** '/' lists one level: sub-folders come as `folders`. */
  delimiter?: '/' | undefined
  startAfter?: string | undefined
  /**
   * The caller sorts, or does not mind: pages may come in any order, and several are asked for at once where the
   * store's key space allows it. A key comes once all the same. For whole prefixes only.
   */
  anyOrder?: boolean | undefined
}

export interface ListPage {
  objects: ListedObject[]
  /** Common prefixes, each ending in the delimiter. */
  folders: string[]
  /** Local folders: what is there and can't be an object (a pipe, a link to nothing). Planners report it, whole. */
  skipped?: SkippedObject[] | undefined
}

export interface SkippedObject {
  key: string
  /** Why, as a phrase: 'a link to nothing', 'the name is not UTF-8'. */
  reason: string
}

export interface ListedObject {
  key: string
  size: number
  /** With its quotes, as S3 gives it. Local: a tag from size, mtime and inode. Never taken for an MD5. */
  etag: string
  /** ms since the epoch */
  modified: number
  /** 'GLACIER', 'DEEP_ARCHIVE' … when the listing tells; such an object can't be read now. */
  storageClass?: string | undefined
}

export interface ObjectInfo extends ListedObject {
  versionId?: string | undefined
  contentEncoding?: string | undefined
  metadata: Record<string, string>
  checksums: Checksums
}

/** Checksums a server gave, base64 as in the headers; multipart "-N" composites are left out. */
export interface Checksums {
  crc32?: string
  crc32c?: string
  crc64nvme?: string
  sha1?: string
  sha256?: string
}

/** Which check the bytes passed. 'size' means: length, and the ETag where the store has one. */
export type Check = 'crc32' | 'crc32c' | 'crc64nvme' | 'sha1' | 'sha256' | 'size'

export interface GetRequest {
  key: string
  /** First byte. `into.length` bytes follow. */
  offset: number
  /** Size of the whole object, as listed: a different total is SOURCE_CHANGED. */
  size: number
  /** '' : not checked. Else an answer with another one is SOURCE_CHANGED, an answer without any is SERVER. */
  etag: string
  versionId?: string | undefined
  /** The CRC-32 of the bytes is wanted: a lane that can takes it while they are still in the processor's cache. */
  sum?: boolean | undefined
}

export interface GotBytes {
  etag: string
  check: Check
  /** CRC-32 of the bytes, where it was wanted or the check took it anyway. */
  crc32?: number | undefined
}

export interface Document {
  bytes: Buffer
  etag: string
}

export interface PutRequest {
  key: string
  body: Uint8Array
  /** CRC-32 of the body; sent as x-amz-checksum-crc32 where the store takes it. */
  crc32?: number | undefined
  /** 'absent': If-None-Match: *. An ETag: If-Match. */
  condition?: 'absent' | { etag: string } | undefined
  metadata?: Record<string, string> | undefined
}

/** 'exists': the condition did not hold and nothing was written. */
export type WriteOutcome = { status: 'written'; etag: string } | { status: 'exists' }

export interface PartRequest {
  key: string
  uploadId: string
  /** 1 … 10,000 */
  partNumber: number
  /** Where the part begins in the object (a local folder writes there). */
  offset: number
  body: Uint8Array
  crc32: number
}

export interface UploadedPart {
  partNumber: number
  etag: string
  /** bytes; 0 where the store does not tell */
  size: number
  /** undefined where the store does not keep part checksums */
  crc32?: number | undefined
}

export interface CompleteRequest {
  key: string
  uploadId: string
  parts: readonly UploadedPart[]
  /** Size of the whole object, to recognise it after a lost answer. */
  size: number
  condition?: 'absent' | undefined
}

export interface OpenUpload {
  key: string
  uploadId: string
  /** ms since the epoch */
  initiated: number
}
