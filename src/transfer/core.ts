import { LongshoreError } from '../errors.ts'
import type { CallOptions, ObjectStore } from '../s3/store.ts'
import type { WireStore } from '../s3/wire/types.ts'
import type { Buffers } from './buffers.ts'
import type { Counters } from './counters.ts'
import type { LocalIo } from './local-io.ts'
import type { Pace } from './pace.ts'
import type { Job } from './scope.ts'
import { inTurn, type Slots } from './slots.ts'
import type { StoreId, Transfer } from './types.ts'

/** What a transfer needs of a store. */
export type DataStore = Pick<ObjectStore, 'url' | 'getInto' | 'putPart' | 'put'> & {
  /** Of a bucket: a range of an object, window by window. */
  getThrough?: WireStore['getThrough']
  /** Of a bucket: a whole object, window by window, by wire; it rejects where that can't be. */
  getWhole?: WireStore['getThrough']
  /** Of a bucket: the same as getInto, without a promise as long as all goes well. */
  beginGet?: WireStore['beginGet']
  asksAhead?: WireStore['asksAhead']
}

/** What all transfers of one thread share. */
export interface Core {
  stores: Map<StoreId, DataStore>
  buffers: Buffers
  slots: Slots
  pace: Pace
  io: LocalIo
  counters: Counters
  call: Pick<CallOptions, 'onRequest' | 'onRetry' | 'onBehind'>
  /** For scopes whose signals requests wait under. */
  sweep: Job
  /** A worker thread: bodies leave it in memory of their own, and disk operations that block are announced. */
  thread: { disk(transfer: number | undefined): void; firstLookMs?: number | undefined } | undefined
}

export function openCore(parts: Omit<Core, 'stores' | 'call' | 'sweep'>): Core {
  const { counters } = parts
  return {
    ...parts,
    stores: new Map(),
    sweep: { abort: () => parts.slots.sweep() },
    call: {
      onRequest: (kind) => counters.request(kind),
      onBehind: () => counters.behind(),
      onRetry: ({ reason, slowDown }) => counters.retry(reason, slowDown),
    },
  }
}

export function storeOf(core: Core, id: StoreId): DataStore {
  const store = core.stores.get(id)
  if (store !== undefined) return store
  throw new LongshoreError('INTERNAL', `${id}: this store was never attached to the engine`, { path: id })
}

/** Begins a disk operation that may block: should the disk hang, the watch on the main thread reads here whose it is. */
export function onDisk<T>({ thread }: Core, { id }: Transfer, begin: () => T): T {
  thread?.disk(id)
  try {
    return begin()
  } finally {
    thread?.disk(undefined)
  }
}

/** What the engine hands to a store: its requests and retries are counted here. */
export function callOptions(core: Core, signal: AbortSignal): CallOptions {
  const { onRequest, onRetry, onBehind } = core.call
  return { signal, onRequest, onRetry, onBehind }
}

/** A request with a slot of its own, ahead of the downloads that wait. */
export function inSlot<T>(
  core: Core,
  bytes: number,
  signal: AbortSignal,
  task: () => Promise<T>,
): Promise<T> {
  return inTurn(core.slots.upload, signal, bytes, async () => {
    if (core.pace.limited) await core.pace.spend(bytes, signal)
    return task()
  })
}
