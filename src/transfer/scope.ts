import { setMaxListeners } from 'node:events'

/** Something that can be ended early. It still settles, soon. */
export interface Job {
  abort(reason: unknown): void
}

/**
 * What is aborted together: a run, or one move. Transfers of one piece share its signal, since a controller each,
 * and listeners on it, cost more than a small write; others have a job in it.
 */
export interface Scope extends Job {
  /** Unique in this thread. */
  readonly id: number
  readonly signal: AbortSignal
  readonly jobs: Set<Job>
}

let lastId = 0

export function openScope(id = ++lastId): Scope {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  const jobs = new Set<Job>()
  return {
    id,
    signal: controller.signal,
    jobs,
    abort(reason) {
      if (controller.signal.aborted) return
      controller.abort(reason)
      for (const job of jobs) job.abort(reason)
    },
  }
}

/** Aborts with the outer signal. Returns what ends that. */
export function followSignal(scope: Job, outer: AbortSignal | undefined): () => void {
  const onAbort = () => scope.abort(outer?.reason)
  if (outer?.aborted) onAbort()
  outer?.addEventListener('abort', onAbort, { once: true })
  return () => outer?.removeEventListener('abort', onAbort)
}
