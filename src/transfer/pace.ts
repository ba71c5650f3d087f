import { setTimeout as wait } from 'node:timers/promises'

/** Spreads bytes over time: each run of bytes waits until the ones before it have had theirs. */
export interface Pace {
  /** false: spend() has nothing to do. */
  readonly limited: boolean
  /** Rejects with the signal's reason. */
  spend(bytes: number, signal: AbortSignal): Promise<void>
}

/** ns, of one origin for all threads */
export interface Clock {
  now(): bigint
  /** ms */
  sleep(ms: number, signal: AbortSignal): Promise<unknown>
}

const REAL: Clock = {
  now: () => process.hrtime.bigint(),
  sleep: (ms, signal) => wait(ms, undefined, { signal }),
}

/** Bytes that are taken in one go: a large part takes its turn among others step by step. */
const STEP = 512 * 1024
const SECOND = 1_000_000_000n

/**
 * `bytesPerSecond` undefined: no limit. `free`: one number (ns) in memory that all threads share, the time at which
 * the next byte may go.
 */
export function openPace(
  bytesPerSecond: number | undefined,
  { free = new BigInt64Array(1), clock = REAL }: { free?: BigInt64Array | undefined; clock?: Clock } = {},
): Pace {
  if (bytesPerSecond === undefined) return { limited: false, async spend() {} }
  const rate = BigInt(Math.max(1, Math.round(bytesPerSecond)))
  /** Takes the next run of time; returns its end. */
  const take = (bytes: number): bigint => {
    for (;;) {
      const before = Atomics.load(free, 0)
      const now = clock.now()
      const end = (before > now ? before : now) + (BigInt(bytes) * SECOND) / rate
      if (Atomics.compareExchange(free, 0, before, end) === before) return end
    }
  }
  return {
    limited: true,
    async spend(bytes, signal) {
      for (let left = bytes; left > 0; left -= STEP) {
        // Its own time is waited for before it starts: then no burst is ever above the rate.
        const delay = Number(take(Math.min(left, STEP)) - clock.now()) / 1e6
        try {
          if (delay > 1) await clock.sleep(delay, signal)
        } catch (error) {
          signal.throwIfAborted()
          throw error
        }
      }
    },
  }
}
