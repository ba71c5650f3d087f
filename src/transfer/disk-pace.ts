import { readFileSync } from 'node:fs'

/** How fast a disk takes what a thread writes to it itself, and so whether it should. */
export interface DiskPace {
  /** The pool's threads do better at the moment. */
  readonly slow: boolean
  /** One more was left to the pool. */
  skipped(): void
  /** ms, for what took() is told: two readings, before and after a write. */
  now(): number
  /** One was written here, which took so many ms. */
  took(ms: number): void
}

/** Writes that are looked at before a disk is believed to be slow. */
const LOOKED_AT = 16

/**
 * `slow`: ms on average from which the pool does better; `most`: what one counts for at the most; `rest`: how many are
 * the pool's then, until the disk is tried again. Writes also take long where a trainer or a server has the cores, and
 * four more threads make that worse (2.5 times as long for four files of 256 MiB on two cores): once they seem slow,
 * some are timed without what the thread ran or waited for a core.
 */
export function openDiskPace(
  { slow, most, rest }: { slow: number; most: number; rest: number },
  busyMs: () => number = threadBusyMs,
): DiskPace {
  let average = 0
  let left = 0
  let looking = 0
  let blocked = 0
  return {
    get slow() {
      return left > 0
    },
    skipped() {
      left--
    },
    now: () => performance.now() - (looking > 0 ? busyMs() : 0),
    took(ms) {
      const counted = Math.min(most, ms)
      if (looking > 0) {
        // May be less than nothing: a kernel counts what a thread ran from tick to tick, and only the sum is true.
        blocked += counted
        if (--looking === 0 && blocked > slow * LOOKED_AT) left = rest
        return
      }
      average += (counted - average) / 16
      if (average <= slow) return
      average = 0
      blocked = 0
      looking = LOOKED_AT
    },
  }
}

/** ms that this thread has run or was ready to run; 0 where the kernel does not tell. proc(5), `schedstat`. */
function threadBusyMs(): number {
  try {
    const [ran, waited] = readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')
    const ms = (Number(ran) + Number(waited)) / 1e6
    return Number.isFinite(ms) ? ms : 0
  } catch {
    return 0
  }
}
