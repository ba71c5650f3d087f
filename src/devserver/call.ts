import type { IncomingMessage } from 'node:http'
import { decodeChunked } from './decode-chunked.ts'
import { type BodyDigest, type Checksum, digestBody } from './digest-body.ts'
import type { Effects } from './effects.ts'
import { s3Failure } from './failure.ts'
import type { ObjectBody } from './read-object.ts'
import type { Route } from './route.ts'
import { type Staged, type StageOptions, stage } from './staging.ts'
import type { Bucket, Storage, StoredObject } from './storage.ts'
import type { Signed } from './verify-signature.ts'

/** An answer before it is written to the socket. */
export interface Reply {
  status: number
  headers: Record<string, string | number>
  body?: Buffer | ObjectBody | undefined
  /** Length of the body a HEAD request would have had. */
  length?: number | undefined
  /** The body is object data, not a document. */
  data?: boolean | undefined
}

/** A request whose signature was verified, on its way to the handler of its operation. */
export interface Call {
  route: Route
  headers: IncomingMessage['headers']
  storage: Storage
  minPartSize: number
  effects: Effects
  signed: Signed | undefined
  /** Raw bytes of the body, throttled and cut as the faults say; asks the client to go on where it waits for that. */
  source: () => AsyncIterable<Buffer>
  /** Decoded bytes read so far. */
  bytesIn: number
}

export interface Received {
  staged: Staged
  md5: Buffer
  size: number
  checksum: Checksum | undefined
}

const MAX_KEY_BYTES = 1024
const MAX_DOCUMENT = 8 * 1024 * 1024
const MUST_TELL_LENGTH = new Set(['PutObject', 'UploadPart'])
const STREAMING = /^STREAMING-(?:(UNSIGNED)-PAYLOAD|AWS4-HMAC-SHA256-PAYLOAD)(-TRAILER)?$/

export function bucketOf(call: Call): Bucket {
  const bucket = call.storage.buckets.get(call.route.bucket)
  if (bucket === undefined)
    throw s3Failure('NoSuchBucket', 'The specified bucket does not exist', { BucketName: call.route.bucket })
  return bucket
}

export function header(call: Call, name: string): string | undefined {
  const value = call.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

/** Takes the body off the wire to where it can be placed, with everything the request says about it checked. */
export async function receive(call: Call, options: StageOptions): Promise<Received> {
  const digest = digestBody(call.headers)
  const trailers = new Map<string, string>()
  const staged = await stage(decoded(call, digest, trailers), options)
  try {
    return { staged, ...digest.finish(trailers) }
  } catch (error) {
    staged.discard()
    throw error
  }
}

/** The body of a request that is a document. */
export async function receiveDocument(call: Call): Promise<string> {
  const digest = digestBody(call.headers)
  const trailers = new Map<string, string>()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of decoded(call, digest, trailers)) {
    size += chunk.length
    if (size > MAX_DOCUMENT) throw s3Failure('MalformedXML', 'The document is larger than any that S3 takes.')
    chunks.push(chunk)
  }
  digest.finish(trailers)
  return Buffer.concat(chunks, size).toString()
}

async function* decoded(
  call: Call,
  digest: BodyDigest,
  trailers: Map<string, string>,
): AsyncGenerator<Buffer> {
  const streaming = STREAMING.exec(header(call, 'x-amz-content-sha256') ?? '')
  const owed =
    streaming === null ? lengthOf(call, 'content-length') : lengthOf(call, 'x-amz-decoded-content-length')
  let got = 0
  const take = (chunk: Buffer): Buffer => {
    got += chunk.length
    call.bytesIn += chunk.length
    digest.update(chunk)
    return chunk
  }
  if (streaming === null) {
    for await (const chunk of call.source()) yield take(chunk)
  } else {
    const chunks = decodeChunked(call.source(), {
      signed: streaming[1] === undefined ? call.signed : undefined,
      trailer: streaming[2] !== undefined,
    })
    for (let next = await chunks.next(); ; next = await chunks.next()) {
      if (next.done) {
        for (const [name, value] of next.value) trailers.set(name, value)
        break
      }
      yield take(next.value)
    }
  }
  if (got !== owed)
    throw s3Failure(
      'IncompleteBody',
      'You did not provide the number of bytes specified by the Content-Length HTTP header.',
    )
}

function lengthOf(call: Call, name: string): number {
  const text = header(call, name)
  if (text === undefined && !MUST_TELL_LENGTH.has(call.route.operation)) return 0
  if (text === undefined || !/^\d{1,15}$/.test(text))
    throw s3Failure('MissingContentLength', `You must provide the ${name} HTTP header.`)
  return Number(text)
}

export function existing(call: Call): StoredObject {
  const object = bucketOf(call).objects.get(call.route.key)
  if (object === undefined)
    throw s3Failure('NoSuchKey', 'The specified key does not exist.', { Key: call.route.key })
  return object
}

export function checkKey(key: string): void {
  const length = Buffer.byteLength(key)
  if (length > MAX_KEY_BYTES)
    throw s3Failure('KeyTooLongError', 'Your key is too long', {
      Size: String(length),
      MaxSizeAllowed: String(MAX_KEY_BYTES),
    })
}

/** Whole seconds: that is all Last-Modified can carry, and the listing must agree with it. */
export function now(): number {
  return Math.floor(Date.now() / 1000) * 1000
}

export function xml(body: Buffer): Reply {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body }
}
