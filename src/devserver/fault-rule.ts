import type { Operation } from './route.ts'

/** Which requests a rule is about: all that is given must hold. */
export interface FaultMatch {
  method?: string | undefined
  operation?: Operation | readonly Operation[] | undefined
  bucket?: string | undefined
  /** Whole key, or a pattern. */
  key?: string | RegExp | undefined
  /** Of the requests that match so far: leave the first ones alone … */
  skip?: number | undefined
  /** … then take every N-th (1: all) … */
  every?: number | undefined
  /** … and only so many in all. */
  first?: number | undefined
  /** 0 … 1, decided by a generator that starts from `seed` (default 1): the same requests, the same choice. */
  probability?: number | undefined
  seed?: number | undefined
}

export type FaultAction =
  /** An S3 error. Default codes: 500 InternalError, 503 SlowDown, 429 TooManyRequests, 409 ConditionalRequestConflict. */
  | { kind: 'status'; status: number; code?: string; message?: string; retryAfter?: number }
  /** Waits before doing anything. */
  | { kind: 'delay'; ms: number }
  /** Never answers; with `afterBytes` stops in the middle of the body it sends. The connection stays open. */
  | { kind: 'stall'; afterBytes?: number }
  /** RST before anything is done; with `afterBytes` in the middle of the body, received or sent. */
  | { kind: 'reset'; afterBytes?: number }
  /** Content-Length promises all, the connection ends after `bytes`. `honest`: Content-Length is as short as the body. */
  | { kind: 'short-body'; bytes: number; honest?: boolean }
  /** One bit of one byte of the body sent is wrong. Default position 0. */
  | { kind: 'flip-byte'; at?: number }
  /** All is done as asked, then RST instead of an answer. */
  | { kind: 'lost-answer' }
  /** 200 with an <Error> document, as CompleteMultipartUpload and CopyObject may answer; nothing is done. */
  | { kind: 'error-in-200'; code?: string; message?: string }
  /** Listings come in an order of their own (stable over pages), as on Express One Zone. */
  | { kind: 'unsorted' }
  | { kind: 'expired-token' }
  /** Bodies are received and sent at this rate. */
  | { kind: 'throttle'; bytesPerSecond: number }
  /** If-Match and the like are not looked at: a store without conditional writes. */
  | { kind: 'ignore-conditions' }
  /** A store from before the checksum headers: requests with any are refused (default 501), none are returned. */
  | { kind: 'no-checksums'; status?: number }
  /** The connection ends after so many bytes of the answer's head. */
  | { kind: 'cut-head'; bytes: number }
  /** The head stops after `bytes` for `ms`, then the rest comes, then the connection ends. */
  | { kind: 'slow-head'; bytes: number; ms: number }
  /**
   * A header of the answer reads otherwise, or is missing where `value` is: Content-Range, ETag, `connection: close` …
   * Content-Length is only a claim then: the body that follows is as long as ever.
   */
  | { kind: 'header'; name: string; value?: string }
  /** So many bytes more than the answer has follow it. */
  | { kind: 'extra-bytes'; bytes: number }
  /** The body comes in chunks, without a Content-Length. */
  | { kind: 'chunked' }
  /** An interim answer comes first, unasked. Default 100. */
  | { kind: 'interim'; status?: 100 | 102 }
  /** To another endpoint, as S3 sends clients of a bucket in another region. Default 307 TemporaryRedirect. */
  | { kind: 'redirect'; status?: 301 | 302 | 307 | 308; location?: string; region?: string }

export interface FaultRule {
  match?: FaultMatch | undefined
  do: FaultAction | readonly FaultAction[]
  /** Of the list the next one each time, not all of them. */
  inTurn?: boolean | undefined
}
