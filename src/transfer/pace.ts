import { setTimeout as wait } from 'node:timers/promises'

/** Spreads bytes over time: each run of bytes waits until the ones before it have had theirs. */
export interface Pace {
  /** Rejects with the signal's reason. */
  spend(bytes: number, signal: AbortSignal): Promise<void>
}

/** `bytesPerSecond` undefined: no limit. */
export function openPace(
  bytesPerSecond: number | undefined,
  now: () => number = () => performance.now(),
): Pace {
  let free = 0
  return {
    async spend(bytes, signal) {
      if (bytesPerSecond === undefined || bytes === 0) return
      const start = Math.max(free, now())
      free = start + (bytes / bytesPerSecond) * 1000
      // Its own time is waited for before it starts: then no burst is ever above the rate.
      const delay = free - now()
      try {
        if (delay > 1) await wait(delay, undefined, { signal })
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    },
  }
}
