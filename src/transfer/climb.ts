const START = 32
const LOWEST = 4
const HIGHEST = 256
/** ms over which goodput is measured before the next step */
const WINDOW_MS = 400
/** A request is worth this many bytes: for small objects it is the count that matters. */
const REQUEST_BYTES = 64 * 1024
/** A step up must bring this much, or it is taken back. */
const WORTHWHILE = 1.03
/** Windows to rest before a limit that brought nothing is tried again. */
const REST = 8

/** How many requests may be in flight: moves with goodput, halves when the server asks to slow down. */
export interface Climb {
  readonly limit: number
  /** So much was done (see workOf); `busy`: others wait for a slot. */
  done(work: number, busy: boolean): void
  slowDown(): void
}

/** What a request that succeeded with so many bytes counts for; one that failed counts for nothing. */
export function workOf(bytes: number): number {
  return bytes + REQUEST_BYTES
}

export function openClimb(concurrency: number | 'auto', now: () => number = () => performance.now()): Climb {
  if (concurrency !== 'auto') return { limit: Math.max(1, concurrency), done() {}, slowDown() {} }
  let limit = START
  let since = now()
  let work = 0
  let crowded = false
  let best = 0
  let step = 0
  let rest = 0
  let calmUntil = 0
  const judge = (elapsed: number) => {
    const goodput = work / elapsed
    if (!crowded) {
      // The plan, not the limit, decides the pace: nothing can be learned.
      best = 0
      step = 0
    } else if (step > 0 && goodput < best * WORTHWHILE) {
      limit = Math.max(LOWEST, limit - step)
      step = 0
      rest = REST
    } else if (rest > 0) {
      rest--
      best = goodput
    } else {
      best = goodput
      step = Math.min(HIGHEST - limit, Math.max(2, limit >> 2))
      limit += step
    }
    since = now()
    work = 0
    crowded = false
  }
  return {
    get limit() {
      return limit
    },
    done(part, busy) {
      work += part
      crowded ||= busy
      const elapsed = now() - since
      if (elapsed >= WINDOW_MS) judge(elapsed)
    },
    slowDown() {
      // Requests already on their way were asked at the old rate: their refusals are the same news.
      if (now() < calmUntil) return
      calmUntil = now() + 1000
      limit = Math.max(LOWEST, limit >> 1)
      step = 0
      rest = REST
      best = 0
    },
  }
}
