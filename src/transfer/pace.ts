import { setTimeout as wait } from 'node:timers/promises'

/** Spreads bytes over time: each run of bytes waits until the ones before it have had theirs. */
export interface Pace {
  /** Rejects with the signal's reason. */
  spend(bytes: number, signal: AbortSignal): Promise<void>
}

/** ms */
export interface Clock {
  now(): number
  sleep(ms: number, signal: AbortSignal): Promise<unknown>
}

const REAL: Clock = { now: () => performance.now(), sleep: (ms, signal) => wait(ms, undefined, { signal }) }

/** `bytesPerSecond` undefined: no limit. */
export function openPace(bytesPerSecond: number | undefined, clock: Clock = REAL): Pace {
  let free = 0
  return {
    async spend(bytes, signal) {
      if (bytesPerSecond === undefined || bytes === 0) return
      const start = Math.max(free, clock.now())
      free = start + (bytes / bytesPerSecond) * 1000
      // Its own time is waited for before it starts: then no burst is ever above the rate.
      const delay = free - clock.now()
      try {
        if (delay > 1) await clock.sleep(delay, signal)
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    },
  }
}
