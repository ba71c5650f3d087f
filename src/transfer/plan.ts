import type { Plan, Transfer } from './types.ts'

type Next = Promise<Transfer | undefined> | Transfer | undefined

/** A plan that is pulled from, and that can be left at any moment. */
export interface Source {
  /** undefined: it has ended. Rejects with stop()'s error. */
  next(): Next
  /** A next() that waits rejects with it. */
  stop(error: unknown): void
  /** Ends it in order; one that hangs in its own next() can't be, and must not keep anyone waiting. */
  end(): Promise<void>
}

export function iteratePlan(plan: Plan): Source {
  const iterator = Symbol.asyncIterator in plan ? plan[Symbol.asyncIterator]() : plan[Symbol.iterator]()
  let waiting: ((error: unknown) => void) | undefined
  let pulling = false
  let batch: readonly Transfer[] = []
  let at = 0
  const take = ({ done, value }: IteratorResult<Transfer | readonly Transfer[]>): Next => {
    if (done) return undefined
    if (!isBatch(value)) return value
    batch = value
    at = 0
    return next()
  }
  // One promise a step, not a race with one of the whole run, which would remember every step.
  const pull = (result: Promise<IteratorResult<Transfer | readonly Transfer[]>>) => {
    pulling = true
    return new Promise<Transfer | undefined>((resolve, reject) => {
      waiting = reject
      result.then(
        (r) => {
          pulling = false
          try {
            resolve(take(r))
          } catch (error) {
            reject(error)
          }
        },
        (error) => {
          pulling = false
          reject(error)
        },
      )
    })
  }
  const next = (): Next => {
    if (at < batch.length) return batch[at++]
    const result = iterator.next()
    return result instanceof Promise ? pull(result) : take(result)
  }
  return {
    next,
    stop: (error) => waiting?.(error),
    async end() {
      // The failure that ended the run is the one to tell.
      const ended = (async () => iterator.return?.())().catch(() => undefined)
      if (!pulling) await ended
    },
  }
}

function isBatch(value: Transfer | readonly Transfer[]): value is readonly Transfer[] {
  return Array.isArray(value)
}
