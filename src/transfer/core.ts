import { LongshoreError } from '../errors.ts'
import type { CallOptions, ObjectStore } from '../s3/store.ts'
import { type Budget, openBudget } from './budget.ts'
import { type Buffers, openBuffers } from './buffers.ts'
import { type Climb, openClimb } from './climb.ts'
import { type LocalIo, openLocalIo } from './local-io.ts'
import { openPace, type Pace } from './pace.ts'
import { openSlots, type Slots } from './slots.ts'
import type { EngineOptions, EngineStats, StoreId } from './types.ts'

/** What all transfers of one engine share. */
export interface Core {
  stores: Map<StoreId, ObjectStore>
  budget: Budget
  buffers: Buffers
  climb: Climb
  slots: Slots
  pace: Pace
  io: LocalIo
  stats: EngineStats
  /** Of every transfer that is open, to abort it. */
  open: Set<AbortController>
  onRetry: ((reason: string) => void) | undefined
}

/** ms without an answer of the local disk until it is called stuck */
const STUCK_MS = 60_000

export function openCore(options: EngineOptions): Core {
  const budget = openBudget(options.memory)
  const climb = openClimb(options.concurrency)
  const stats = {
    requests: {},
    retries: 0,
    slowdowns: 0,
    bytesIn: 0,
    bytesOut: 0,
    get concurrency() {
      return climb.limit
    },
    handedOver: {},
    workers: 0,
    get peakBuffer() {
      return budget.peak
    },
  }
  return {
    stores: new Map(),
    budget,
    buffers: openBuffers(() => budget.limit - budget.held),
    climb,
    slots: openSlots(climb),
    pace: openPace(options.bwlimit),
    io: openLocalIo({ stuckMs: options.stuckMs ?? STUCK_MS }),
    stats,
    open: new Set(),
    onRetry: options.onRetry,
  }
}

export function storeOf(core: Core, id: StoreId): ObjectStore {
  const store = core.stores.get(id)
  if (store !== undefined) return store
  throw new LongshoreError('INTERNAL', `${id}: this store was never attached to the engine`, { path: id })
}

/** What the engine hands to a store: its requests and retries are counted here. */
export function callOptions(core: Core, signal: AbortSignal): CallOptions {
  const { stats } = core
  return {
    signal,
    onRequest(kind) {
      stats.requests[kind] = (stats.requests[kind] ?? 0) + 1
    },
    onRetry({ reason, slowDown }) {
      stats.retries++
      if (slowDown) {
        stats.slowdowns++
        core.climb.slowDown()
      }
      core.onRetry?.(reason)
    },
  }
}

/** A request with a slot of its own, ahead of the downloads that wait. */
export function inSlot<T>(
  core: Core,
  bytes: number,
  signal: AbortSignal,
  task: () => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    core.slots.upload(async () => {
      try {
        signal.throwIfAborted()
        await core.pace.spend(bytes, signal)
        resolve(await task())
        return bytes
      } catch (error) {
        reject(error)
        return 0
      }
    })
  })
}
