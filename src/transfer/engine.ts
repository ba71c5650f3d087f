import { LongshoreError } from '../errors.ts'
import { openBudget } from './budget.ts'
import { openBuffers } from './buffers.ts'
import { type Climb, openClimb } from './climb.ts'
import { callOptions, inSlot, openCore } from './core.ts'
import { startHere } from './here.ts'
import { type OpenWire, type OwnLanes, openOwnLanes } from './lanes.ts'
import { isStuck, openLocalIo } from './local-io.ts'
import { openPace } from './pace.ts'
import { openRoute, type Route } from './route.ts'
import { type Mover, moveOne, runPlan } from './run.ts'
import { followSignal, openScope } from './scope.ts'
import { type Gate, openSlots } from './slots.ts'
import { openStats } from './stats.ts'
import { openThreads } from './threads.ts'
import type { Engine, EngineOptions } from './types.ts'

/** Documents are held whole in memory, outside the budget. */
const DOCUMENT_BYTES = 64 * 1024 * 1024
/** ms without an answer of the local disk until it is called stuck */
const STUCK_MS = 60_000

/** With more of them, four files at a time would leave some without work. */
const FEW_THREADS = 2

/** Beside this file: as it is written, or built; a build's script has one that starts from compiled code as well. */
const WORKER_FILES: Record<string, string> = { ts: './worker.ts', cjs: '../bin/worker.cjs' }
const WORKER_FILE = new URL(
  WORKER_FILES[import.meta.url.split('.').at(-1) ?? ''] ?? './worker.js',
  import.meta.url,
)

/** What tests put in place of the real thing. */
export interface EngineParts {
  /** What worker threads run. */
  workerFile?: URL
  loadWire?: () => Promise<OpenWire>
  /** ms that a stream has to show what it is worth. */
  firstLookMs?: number
}

/** Close it: it keeps buffers, sockets, threads and files for the next transfer. */
export function openEngine(options: EngineOptions, parts: EngineParts = {}): Engine {
  const { bwlimit, onRetry, stuckMs = STUCK_MS, lane = 'wire' } = options
  const climb = openClimb(options.concurrency)
  // No more of them than there may be requests; by the SDK lane they would have nothing to do.
  const workers = lane === 'sdk' ? 0 : Math.min(options.workers ?? 0, climb.limit)
  const threads =
    workers === 0
      ? undefined
      : openThreads({
          ...{
            workers,
            forLarge: Math.min(options.workersForLarge ?? 0, workers - 1),
            bwlimit,
            stuckMs,
            climb,
            memory: options.memory,
            file: parts.workerFile ?? WORKER_FILE,
            firstLookMs: parts.firstLookMs,
          },
          core: () => core,
          onRetry(reasons, slowDown) {
            if (slowDown) climb.slowDown()
            for (const reason of reasons) onRetry?.(reason)
          },
        })
  const crew = threads?.crew
  if (options.early) crew?.boot()
  const budget = openBudget(options.memory)
  const { stats, counters, handedOver } = openStats({ budget, climb, onRetry, threads: () => crew })
  const io = openLocalIo({ stuckMs })
  const core = openCore({
    buffers: openBuffers(options.memory / Math.max(1, workers)),
    slots: openSlots(crew?.gate ?? gateOf(climb)),
    pace: openPace(bwlimit, { free: crew?.shared.pace }),
    io,
    counters,
    thread: undefined,
  })
  const routes = new Map<string, Route>()
  const lanes = new Map<string, OwnLanes>()
  const mover: Mover = {
    budget,
    copies: threads !== undefined,
    open: new Set(),
    get limit() {
      return climb.limit
    },
    start: threads?.start ?? ((transfer, scope, settle) => startHere(core, transfer, scope, settle)),
    failed(error) {
      if (isStuck(error)) options.onStuck?.(error)
    },
    closeIdle() {
      crew?.idle()
      return io.closeIdle()
    },
  }
  const ended = new AbortController()
  const pending = new Set<Promise<unknown>>()
  let closed = false

  const end = (reason: unknown) => {
    if (!ended.signal.aborted) ended.abort(reason)
    for (const job of mover.open) job.abort(reason)
  }
  const onAbort = () => end(options.signal?.reason)
  if (options.signal?.aborted) onAbort()
  options.signal?.addEventListener('abort', onAbort, { once: true })

  /** Every call is known until it has settled, so that close() can wait for it. */
  const track = async <T>(work: () => Promise<T>): Promise<T> => {
    ended.signal.throwIfAborted()
    const promise = work()
    pending.add(promise)
    try {
      return await promise
    } catch (error) {
      ended.signal.throwIfAborted()
      throw error
    } finally {
      pending.delete(promise)
    }
  }

  /** A request of its own, outside any transfer: it ends with the caller's signal or the engine's. */
  const request = <T>(
    bytes: number,
    signal: AbortSignal | undefined,
    task: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> =>
    track(async () => {
      const scope = openScope()
      scope.jobs.add(core.sweep)
      const unfollow = followSignal(scope, signal)
      mover.open.add(scope)
      try {
        return await inSlot(core, bytes, scope.signal, () => task(scope.signal))
      } finally {
        mover.open.delete(scope)
        unfollow()
      }
    })

  return {
    stats,
    streams: workers > 0 && workers <= FEW_THREADS && bwlimit === undefined,
    expect(amount) {
      if (amount.files > 0) crew?.boot(amount)
    },
    attach(store, { early = false } = {}) {
      if (routes.has(store.url)) return store.url
      const route = openRoute(store, {
        lane,
        count: handedOver,
        onTarget(target) {
          lanes.get(store.url)?.update(target)
          threads?.update(store.url, target)
        },
      })
      const own = openOwnLanes(store, route, parts.loadWire ?? loadWire)
      routes.set(store.url, route)
      lanes.set(store.url, own)
      core.stores.set(store.url, own.store)
      threads?.attach(store, route)
      if (early) threads?.prepare(store.url)
      return store.url
    },
    move: (transfer, { signal } = {}) => track(() => moveOne(mover, transfer, signal)),
    run: (plan, runOptions) => track(() => runPlan(mover, plan, runOptions)),
    readDocument: (store, key, { signal, maxBytes = DOCUMENT_BYTES } = {}) =>
      request(0, signal, async (own) => {
        const found = await store.getDocument(key, { ...callOptions(core, own), maxBytes })
        counters.bytesIn(found?.bytes.length ?? 0)
        return found
      }),
    writeDocument: (store, key, body, { signal, condition } = {}) =>
      request(body.length, signal, async (own) => {
        const outcome = await store.put({ key, body, condition }, callOptions(core, own))
        if (outcome.status === 'written') counters.bytesOut(body.length)
        return outcome
      }),
    async close() {
      options.signal?.removeEventListener('abort', onAbort)
      end(new LongshoreError('INTERNAL', 'the transfer engine was closed'))
      await Promise.allSettled(pending)
      await crew?.close()
      for (const own of lanes.values()) own.close()
      core.buffers.clear()
      await io.closeIdle()
      if (!closed) options.onClose?.(stats)
      closed = true
    },
  }
}

/** The only thread there is. */
function gateOf(climb: Climb): Gate {
  return {
    get limit() {
      return climb.limit
    },
    enter: () => true,
    leave() {},
    done: (work, busy) => climb.done(work, busy),
  }
}

/** Loaded late: a local run needs none of it. */
async function loadWire(): Promise<OpenWire> {
  return (await import('../s3/wire/open-wire.ts')).openWire
}
