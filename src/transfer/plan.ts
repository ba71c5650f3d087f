import type { Transfer } from './types.ts'

/** A plan that is pulled from, and that can be left at any moment. */
export interface Source {
  /** undefined: it has ended. Rejects with stop()'s error. */
  next(): Promise<Transfer | undefined> | Transfer | undefined
  /** A next() that waits rejects with it. */
  stop(error: unknown): void
  /** Ends it in order; one that hangs in its own next() can't be, and must not keep anyone waiting. */
  end(): Promise<void>
}

export function iteratePlan(plan: Iterable<Transfer> | AsyncIterable<Transfer>): Source {
  const iterator = Symbol.asyncIterator in plan ? plan[Symbol.asyncIterator]() : plan[Symbol.iterator]()
  let waiting: ((error: unknown) => void) | undefined
  let pulling = false
  // One promise a step, not a race with one of the whole run, which would remember every step.
  const pull = (result: Promise<IteratorResult<Transfer>>) => {
    pulling = true
    return new Promise<Transfer | undefined>((resolve, reject) => {
      waiting = reject
      result.then(
        (r) => {
          pulling = false
          resolve(r.done ? undefined : r.value)
        },
        (error) => {
          pulling = false
          reject(error)
        },
      )
    })
  }
  return {
    next() {
      const result = iterator.next()
      if (result instanceof Promise) return pull(result)
      const { done, value } = result as IteratorResult<Transfer>
      return done ? undefined : value
    },
    stop: (error) => waiting?.(error),
    async end() {
      // The failure that ended the run is the one to tell.
      const ended = (async () => iterator.return?.())().catch(() => undefined)
      if (!pulling) await ended
    },
  }
}
