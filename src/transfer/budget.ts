/**
 * Bytes that may be held in buffers, first come first served: a large transfer is not starved by small ones that
 * come after it. Units are bytes.
 */
export interface Budget {
  readonly limit: number
  readonly held: number
  readonly peak: number
  /** As acquire, when that needs no wait: the bytes; undefined: it does. */
  take(bytes: number): number | undefined
  /** Resolves when `bytes` are ours. More than the limit counts as the limit. Rejects with the signal's reason. */
  acquire(bytes: number, signal: AbortSignal): Promise<number>
  /** Gives back what acquire resolved to. */
  release(bytes: number): void
}

export function openBudget(limit: number): Budget {
  const queue: { bytes: number; grant: () => void }[] = []
  let held = 0
  let peak = 0
  const hold = (bytes: number) => {
    held += bytes
    peak = Math.max(peak, held)
  }
  const take = (wanted: number) => {
    const bytes = Math.min(wanted, limit)
    if (queue.length > 0 || held + bytes > limit) return undefined
    hold(bytes)
    return bytes
  }
  const serve = () => {
    for (let next = queue[0]; next !== undefined && held + next.bytes <= limit; next = queue[0]) {
      queue.shift()
      hold(next.bytes)
      next.grant()
    }
  }
  return {
    limit,
    get held() {
      return held
    },
    get peak() {
      return peak
    },
    take,
    acquire(wanted, signal) {
      const bytes = Math.min(wanted, limit)
      if (signal.aborted) return Promise.reject(signal.reason)
      if (take(bytes) !== undefined) return Promise.resolve(bytes)
      return new Promise((resolve, reject) => {
        const entry = {
          bytes,
          grant: () => {
            signal.removeEventListener('abort', onAbort)
            resolve(bytes)
          },
        }
        const onAbort = () => {
          queue.splice(queue.indexOf(entry), 1)
          serve()
          reject(signal.reason)
        }
        signal.addEventListener('abort', onAbort, { once: true })
        queue.push(entry)
      })
    },
    release(bytes) {
      held -= bytes
      serve()
    },
  }
}
