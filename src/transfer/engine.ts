import { LongshoreError } from '../errors.ts'
import type { ObjectStore } from '../s3/store.ts'
import { callOptions, inSlot, openCore } from './core.ts'
import { moveOne, runPlan } from './run.ts'
import type { Engine, EngineOptions } from './types.ts'

/** Documents are held whole in memory, outside the budget. */
const DOCUMENT_BYTES = 64 * 1024 * 1024

/** The engine on the stores' own requests. Close it: it keeps buffers and files for the next transfer. */
export function openEngine(options: EngineOptions): Engine {
  const core = openCore(options)
  const ended = new AbortController()
  const pending = new Set<Promise<unknown>>()

  const end = (reason: unknown) => {
    if (!ended.signal.aborted) ended.abort(reason)
    for (const controller of core.open) controller.abort(reason)
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
      const controller = new AbortController()
      const abort = () => controller.abort(signal?.reason)
      if (signal?.aborted) abort()
      signal?.addEventListener('abort', abort, { once: true })
      core.open.add(controller)
      try {
        return await inSlot(core, bytes, controller.signal, () => task(controller.signal))
      } finally {
        core.open.delete(controller)
        signal?.removeEventListener('abort', abort)
      }
    })

  return {
    stats: core.stats,
    attach(store: ObjectStore) {
      if (!core.stores.has(store.url)) core.stores.set(store.url, store)
      return store.url
    },
    move: (transfer, { signal } = {}) => track(() => moveOne(core, transfer, signal)),
    run: (plan, runOptions) => track(() => runPlan(core, plan, runOptions)),
    readDocument: (store, key, { signal, maxBytes = DOCUMENT_BYTES } = {}) =>
      request(0, signal, async (own) => {
        const found = await store.getDocument(key, { ...callOptions(core, own), maxBytes })
        core.stats.bytesIn += found?.bytes.length ?? 0
        return found
      }),
    writeDocument: (store, key, body, { signal, condition } = {}) =>
      request(body.length, signal, async (own) => {
        const outcome = await store.put({ key, body, condition }, callOptions(core, own))
        if (outcome.status === 'written') core.stats.bytesOut += body.length
        return outcome
      }),
    async close() {
      options.signal?.removeEventListener('abort', onAbort)
      end(new LongshoreError('INTERNAL', 'the transfer engine was closed'))
      await Promise.allSettled(pending)
      core.buffers.clear()
      await core.io.closeIdle()
    },
  }
}
