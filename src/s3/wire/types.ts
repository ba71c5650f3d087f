import type { CallOptions, GetRequest, GotBytes, PartRequest, UploadedPart } from '../store.ts'

/**
 * How the wire lane reaches one bucket: what the SDK found out about endpoint, region and identity. Plain data, so
 * that it can be posted to worker threads; when any of it changes (credentials, clock, region) a new one is posted.
 */
export interface WireTarget {
  /** `s3://bucket`, for messages. */
  url: string
  bucket: string
  /** As configured, for messages; undefined: AWS's own. */
  endpoint: string | undefined
  /** TLS or plain TCP. */
  secure: boolean
  /** Name or address to dial, an IPv6 address without brackets. Also the name the certificate must have. */
  host: string
  port: number
  /** The Host header, as it is signed: with the port where it is not the scheme's own. */
  authority: string
  /** What stands before the encoded key in the request's path: '/' (virtual host) or '/bucket/'. */
  base: string
  region: string
  /** undefined: anonymous requests */
  credentials: WireCredentials | undefined
  /** ms to add to this machine's clock: the server's minus ours */
  clockOffset: number
  /** Sent and signed with each GET and each PUT: request payer, expected owner. Names in lower case. */
  headers: Readonly<Record<string, string>>
  /** The store refuses checksum headers: none are sent. */
  noChecksums: boolean
  /** Certificates in PEM beside, or instead of, node's own list; undefined: node's own. */
  ca: readonly string[] | undefined
  rejectUnauthorized: boolean
  /** ms without any progress (connected, a byte taken, a byte received) until a request is given up and retried */
  timeoutMs: number
  /** Attempts after the first, for each request. */
  retries: number
}

export interface WireCredentials {
  accessKeyId: string
  secretAccessKey: string
  sessionToken: string | undefined
  /** ms since the epoch; undefined: they do not expire */
  expiresAt: number | undefined
}

/** Why a bucket can't be reached by wire: 'proxy', 'sigv4a', 'express' … */
export interface NoWire {
  reason: string
}

/** Where a long answer goes, window by window: each is used up while it is still in the processor's cache. */
export interface Window {
  /** bytes of the answer */
  readonly length: number
  /** It can't begin anew: a second request beside a slow one would bring nothing. */
  readonly once?: boolean
  /** What is read lands here; the next window overwrites it. */
  readonly memory: Uint8Array
  /** The answer's bytes from `at` on, in order; from 0 anew when it is asked for again. What this throws is final. */
  take(at: number, bytes: Uint8Array): void
}

/** Told once what became of a GET that was begun without a promise; nobody writes to its memory any more then. */
export interface Begun {
  /** Never before beginGet() has returned. */
  done(got: GotBytes): void
  /**
   * The first attempt failed, or it can't be made like this. `rest` goes on from there exactly as getInto() would
   * have: what failed counts as its first attempt. It is to be called, once. May come before beginGet() has returned.
   */
  trouble(rest: () => Promise<GotBytes>): void
}

/**
 * The two requests that are nearly all the work. Retries 429, 5xx, resets and time-outs itself (CallOptions'
 * onRequest before each attempt, onRetry before each further one) and then rejects with a LongshoreError; an answer
 * that it does not understand rejects with HandOver and nothing was moved: the SDK lane does that request.
 */
export interface WireStore {
  readonly url: string
  getInto(request: GetRequest, into: Uint8Array, options?: CallOptions): Promise<GotBytes>
  /** The same, for the many: without a promise as long as all goes well. Never throws. */
  beginGet?(request: GetRequest, into: Uint8Array, call: CallOptions, begun: Begun): void
  /** Whether such a GET, begun now, would only wait behind others on a connection: the server does one at a time. */
  asksAhead?(etag: string, length: number): boolean
  /** By a range, of all the object too: the checksum of a whole one is getInto's to check. */
  getThrough(request: GetRequest, window: Window, options?: CallOptions): Promise<GotBytes>
  putPart(request: PartRequest, options?: CallOptions): Promise<UploadedPart>
  /** From the next request on. */
  update(target: WireTarget): void
  /** Sockets end; requests in flight reject. */
  close(): void
}

/** Not a failure: this request is the SDK lane's. The reason is a short phrase that recurs, to be counted. */
export class HandOver extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(`handed to the SDK lane: ${reason}`)
    this.name = 'HandOver'
    this.reason = reason
  }
}
