import type { GetRequest, GotBytes, PartRequest, UploadedPart } from '../s3/store.ts'
import type { WireTarget } from '../s3/wire/types.ts'
import type { PackedResults, PackedTransfers } from './packed.ts'
import type { WireKind } from './route.ts'
import type { PlainError } from './thread-errors.ts'
import type { StoreId } from './types.ts'

/** What a worker thread is started with. */
export interface WorkerStart {
  memory: SharedArrayBuffer
  member: number
  members: number
  /** Bytes of buffers that the thread may keep. */
  memoryShare: number
  /** bytes a second, of all threads together */
  bwlimit: number | undefined
  /** ms */
  stuckMs: number
  /** ms that a stream has to show what it is worth (stream.ts); undefined: its own */
  firstLookMs: number | undefined
}

/** How a thread reaches a store: a bucket by wire, or a local folder. */
export type Reach = { target: WireTarget } | { root: string }

export type ToWorker =
  | { kind: 'store'; store: StoreId; reach: Reach }
  | { kind: 'work'; transfers: PackedTransfers }
  | { kind: 'abort'; scope: number }
  /** Of a request that was handed over. */
  | { kind: 'answer'; call: number; answer: SdkAnswer }
  /** Files that are kept open are closed: no run needs them any more. */
  | { kind: 'idle' }
  | { kind: 'close' }

export type FromWorker =
  /** `spent`: memory that came with the work, and that nobody here reads any more. */
  | { kind: 'results'; results: PackedResults; spent: ArrayBuffer[] }
  | { kind: 'retry'; reasons: string[]; slowDown: boolean }
  | { kind: 'handOver'; call: number; about: HandedOver; request: SdkRequest }
  | { kind: 'forget'; call: number }

export interface HandedOver {
  store: StoreId
  kind: WireKind
  reason: string
  /** Requests of that kind that this thread's wire served so far. */
  served: number
}

export type SdkRequest =
  | { kind: 'GET'; request: GetRequest; length: number }
  | { kind: 'PART'; request: PartRequest }

export type SdkAnswer =
  | { ok: true; kind: 'GET'; got: GotBytes; body: Uint8Array }
  | { ok: true; kind: 'PART'; part: UploadedPart }
  | { ok: false; error: PlainError }
