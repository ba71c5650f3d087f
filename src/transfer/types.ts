import type { LongshoreError } from '../errors.ts'
import type { Amount } from '../fs/amount.ts'
import type { Check, ObjectStore } from '../s3/store.ts'

/**
 * A transfer is a run of bytes, the pieces they come from, and one place for them. It is plain data: it can be
 * posted to a worker thread, so a faster lane can take it over without a change in any planner.
 */
export interface Transfer {
  /** The planner's own number; comes back with the result. */
  id: number
  /** bytes; the pieces cover 0 … length exactly, without overlap. */
  length: number
  pieces: readonly Piece[]
  to: Place
  /** CRC-32 of each BLOCK_BYTES block, where known beforehand: a mismatch is fetched once more, then INTEGRITY. */
  expectCrcs?: readonly number[] | undefined
  /** To a 'file' place: a range or block that begins to come before it (monotonicMs) may go without a CRC-32. Default: none may. */
  sumFrom?: number | undefined
  /**
   * A whole object to a 'file' place, as one request that needs no memory of its length. Results come part by part
   * (TransferDone.part), then one that ends it: `bytes` says how far it came, which may be less than all and nothing.
   */
  stream?: boolean | undefined
}

export type Piece = ObjectPiece | FilePiece | LiteralPiece

/** A range of an object in an attached store. */
export interface ObjectPiece {
  kind: 'object'
  /** Where it lands, from the transfer's first byte. */
  at: number
  length: number
  store: StoreId
  key: string
  /** First byte in the object. */
  offset: number
  /** Size of the whole object as listed. */
  size: number
  /** '' : not checked */
  etag: string
  versionId?: string | undefined
}

/** A range of a local file: a staged checkpoint file on its way up. */
export interface FilePiece {
  kind: 'file'
  at: number
  length: number
  path: string
  offset: number
}

/** Bytes the planner knows: tar headers, padding. */
export interface LiteralPiece {
  kind: 'bytes'
  at: number
  length: number
  bytes: Uint8Array
}

export type Place =
  /** A part of an open multipart upload. */
  | { kind: 'part'; store: StoreId; key: string; uploadId: string; partNumber: number; offset: number }
  /** A whole object in one PUT. */
  | {
      kind: 'object'
      store: StoreId
      key: string
      absent: boolean
      metadata?: Record<string, string> | undefined
    }
  /** One positional write into an existing temporary file (the planner makes it, syncs it, renames it). */
  | { kind: 'file'; path: string; offset: number }
  /**
   * A whole small file: written as `temp` (same filesystem), synced if `durable`, then renamed to `path`. Without
   * `temp` written as `path` itself, in a folder that nobody sees: killed, it is shorter than its length. Parents exist.
   */
  | { kind: 'whole'; temp: string | undefined; path: string; mode: number; durable: boolean }
  /** Comes back as `body`. */
  | { kind: 'memory' }

export type StoreId = string

/** CRC-32 is taken of each such block, from the transfer's first byte; the last one may be short. */
export const BLOCK_BYTES = 8 * 1024 * 1024

export type TransferResult = TransferDone | TransferFailed

export interface TransferDone {
  id: number
  ok: true
  bytes: number
  /** CRC-32 of each BLOCK_BYTES block; empty: none was taken (`sumFrom`). */
  blockCrcs: number[]
  /** CRC-32 of all its bytes; 0 where none was taken. */
  crc32: number
  /** Which checks its object pieces passed, and how many each. */
  checks: Partial<Record<Check, number>>
  /** 'part' and 'object' places. */
  etag?: string | undefined
  /** An 'object' place with `absent`: someone else's object is there; nothing was written. */
  exists?: boolean | undefined
  /** A 'memory' place. */
  body?: Uint8Array | undefined
  /** Of a stream that goes on: these bytes are in place, from there on. */
  part?: { at: number } | undefined
}

export interface TransferFailed {
  id: number
  ok: false
  error: LongshoreError
  /** Index of the piece that failed, when it was one. */
  piece?: number | undefined
}

/**
 * Moves bytes. Bounded by one byte budget (`memory`) and by `concurrency` requests in flight, whatever is asked.
 * Transient failures are retried inside; a result that is not ok is final. Results come in no order.
 */
export interface Engine {
  readonly stats: EngineStats
  /** Its threads are so few that they are the limit: whole objects, as streams, then cost less than their ranges. */
  readonly streams: boolean
  /**
   * Makes a store known; its id goes into transfers. Attaching twice gives the same id. `early`: threads are told how
   * it is reached before the first transfer asks.
   */
  attach(store: ObjectStore, options?: { early?: boolean }): StoreId
  /** So much will be asked for soon: the threads that it is worth boot at once, beside what comes before it. */
  expect(amount: Amount): void
  /** One transfer; throws its LongshoreError. A length over the budget is refused (USAGE): plan smaller parts. */
  move(transfer: Transfer, options?: { signal?: AbortSignal | undefined }): Promise<TransferDone>
  /**
   * Many: pulls the plan only as fast as budget and concurrency allow. `onResult` is called once a transfer, and
   * before that once a part of a stream; if it throws, or the plan does, everything in flight is aborted and run() rejects with that.
   */
  run(plan: Plan, options: RunOptions): Promise<void>
  /** A small whole object read or written as a document: manifests, records. Conditional writes go this way. */
  readDocument(
    store: ObjectStore,
    key: string,
    options?: { signal?: AbortSignal | undefined; maxBytes?: number },
  ): Promise<{ bytes: Buffer; etag: string } | undefined>
  writeDocument(
    store: ObjectStore,
    key: string,
    bytes: Uint8Array,
    options?: { signal?: AbortSignal | undefined; condition?: 'absent' | { etag: string } | undefined },
  ): Promise<{ status: 'written'; etag: string } | { status: 'exists' }>
  close(): Promise<void>
}

/** Transfers one by one or in batches: of a plan that is asynchronous, a promise a transfer is most of its cost. */
export type Plan = Iterable<Transfer | readonly Transfer[]> | AsyncIterable<Transfer | readonly Transfer[]>

export interface RunOptions {
  signal?: AbortSignal | undefined
  onResult(result: TransferResult): void
}

/** Counters, always true, read by the progress display and by reports. */
export interface EngineStats {
  /** Requests by kind: 'GET', 'PUT', 'PART', 'HEAD' … */
  requests: Record<string, number>
  /** Of these, asked behind another on a connection before that was answered. */
  behind: number
  retries: number
  /** Answers 429/503 that made it slow down. */
  slowdowns: number
  bytesIn: number
  bytesOut: number
  /** Requests in flight allowed now (moves with --concurrency auto). */
  concurrency: number
  /** Highest bytes held in buffers. */
  peakBuffer: number
  /** Requests that the wire lane handed to the SDK lane, by reason. */
  handedOver: Record<string, number>
  /** Worker threads started so far. */
  workers: number
  /** Worker threads that have not ended. After close(): a disk that does not answer holds them. */
  alive: number
}

export interface EngineOptions {
  /** 'auto': starts at 32 and moves up to 256 by goodput, and down to 4 by 503s. */
  concurrency: number | 'auto'
  /** Threads that move the bytes; 0 (the default): this one. They start when there is work for them. */
  workers?: number | undefined
  /** Of these, so many are started for large ranges only. Default 0 */
  workersForLarge?: number | undefined
  /** Work is to be expected: the first thread boots at once, beside what its owner has to load and to list first. */
  early?: boolean | undefined
  /** 'sdk': every request goes by the SDK lane. Default 'wire' */
  lane?: 'wire' | 'sdk' | undefined
  /** Bytes for all buffers. Default 128 MiB. */
  memory: number
  /** bytes a second, in and out together; undefined: no limit */
  bwlimit?: number | undefined
  signal?: AbortSignal | undefined
  onRetry?: ((reason: string) => void) | undefined
  /** ms after which a local read, write or fsync that has not returned is STUCK. Default 60,000. */
  stuckMs?: number | undefined
  /** Told of each transfer that is STUCK, in whatever thread: an exit in order would wait for that disk. */
  onStuck?: ((error: LongshoreError) => void) | undefined
  /** Told once, when the engine is closed. */
  onClose?: ((stats: EngineStats) => void) | undefined
}

/** What a command's user decides about the engine; the command adds its own signal and reports. */
export type EngineSettings = Pick<
  EngineOptions,
  'concurrency' | 'memory' | 'bwlimit' | 'workers' | 'workersForLarge' | 'lane' | 'onStuck' | 'onClose'
>
