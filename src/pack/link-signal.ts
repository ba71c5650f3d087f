import { setMaxListeners } from 'node:events'

/**
 * A signal that ends with its parent's, or by itself. Not AbortSignal.any: on Node 20 a long-lived parent
 * keeps every one that was made from it.
 */
export interface LinkedSignal {
  signal: AbortSignal
  /** The first reason counts. */
  abort(reason: unknown): void
  /** Lets go of the parent. */
  unlink(): void
}

export function linkSignal(parent: AbortSignal): LinkedSignal {
  const controller = new AbortController()
  // Every request in flight listens: that is no leak, and the user must not read of one.
  setMaxListeners(0, controller.signal)
  const abort = (reason: unknown): void => {
    if (!controller.signal.aborted) controller.abort(reason)
  }
  const follow = (): void => abort(parent.reason)
  if (parent.aborted) follow()
  else parent.addEventListener('abort', follow, { once: true })
  return { signal: controller.signal, abort, unlink: () => parent.removeEventListener('abort', follow) }
}
