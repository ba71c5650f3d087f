/** Below it nothing is tried, since few answers at a time cost more CPU each; refusals may lead there. */
const START = 32
const LOWEST = 4
const HIGHEST = 256
/** ms over which goodput is measured at the least; slow requests need longer: a new limit shows when as many have ended. */
const WINDOW_MS = 400
/** ms without any that ended: whatever comes next is other work. */
const IDLE_MS = 10_000
/**
 * Of what a step up can bring at the most (a quarter more requests, a quarter more goodput, where latency is all), so
 * much shows that it did; less than that but more than WORTH has to show again, anything else is taken back.
 */
const SURE = 0.6
const WORTH = 0.2
/** Of what a step down can cost at the most: with less, over some windows, as much is done by fewer requests. */
const LITTLE = 0.1
const DOWN_WINDOWS = 4
/** Goodput that grows by more on its own is still warming up: connections, a compiler, the server's cache. */
const STEADY = 1.08
/** Windows that a warm-up is waited for. */
const WARM_UP = 5
/** Windows to rest after a step, and after one that was taken back twice as many each time, up to the second. */
const REST = 2
const LONG_REST = 64

/** How many requests may be in flight: moves with goodput, halves when the server asks to slow down. */
export interface Climb {
  readonly limit: number
  /** So many requests ended, which did so much (weightOf, in worth.ts); `busy`: others wait for a slot. */
  done(work: number, busy: boolean, requests?: number): void
  slowDown(): void
}

/** A limit that is tried: what it was before, and what was done in each window since. */
interface Trial {
  from: number
  goodputs: number[]
}

/**
 * 'auto': up in quick steps while that brings something, and up or down a step from time to time after that. Noise
 * alone leads nowhere: more requests than are needed cost memory and connections, and many servers goodput too.
 */
export function openClimb(concurrency: number | 'auto', now: () => number = () => performance.now()): Climb {
  if (concurrency !== 'auto') return { limit: Math.max(1, concurrency), done() {}, slowDown() {} }
  let limit = START
  const openWindow = (since: number) => ({ since, work: 0, requests: 0, crowded: false })
  let window = openWindow(now())
  let lastAt = window.since
  /** Goodput at this limit, or at the one before the trial; 0: not known. */
  let usual = 0
  let trial: Trial | undefined
  let upNext = true
  let sureSteps = 0
  let warming = WARM_UP
  let rest = 0
  let nextRest = REST
  let calmUntil = 0

  /** A limit that was being tried has shown nothing. */
  const forget = () => {
    if (trial !== undefined) limit = trial.from
    usual = 0
    trial = undefined
    sureSteps = 0
    warming = WARM_UP
  }
  const startAnew = () => {
    forget()
    upNext = true
    nextRest = REST
  }
  const tryOne = () => {
    // The last few up would bring less than can be measured.
    if (limit >= HIGHEST - (HIGHEST >> 3)) upNext = false
    else if (limit <= START) upNext = true
    const from = limit
    if (upNext) limit = Math.min(HIGHEST, limit + Math.max(2, sureSteps > 1 ? limit >> 1 : limit >> 2))
    else limit = Math.max(START, limit - (limit >> 2))
    trial = { from, goodputs: [] }
  }
  const end = ({ from }: Trial, how: { kept: boolean; upNext: boolean }) => {
    if (!how.kept) {
      limit = from
      sureSteps = 0
    }
    trial = undefined
    upNext = how.upNext
    rest = how.kept ? REST : nextRest
    nextRest = how.kept ? REST : Math.min(LONG_REST, nextRest * 2)
  }
  const judge = (goodput: number, crowded: boolean) => {
    if (!crowded) {
      // The plan, not the limit, decides the pace: nothing can be learned.
      forget()
    } else if (trial !== undefined) judgeTrial(trial, goodput)
    else if (warming > 0 && (usual === 0 || goodput > usual * STEADY)) {
      warming--
      usual = goodput
    } else {
      // One window's luck is no measure for the next step.
      usual = (usual + goodput) / 2
      if (rest > 0) rest--
      else if (usual > 0) tryOne()
    }
  }
  const judgeTrial = (one: Trial, goodput: number) => {
    const { from, goodputs } = one
    goodputs.push(goodput)
    /** 1: goodput moved as much as the limit. */
    const share = (now: number) => (now / usual - 1) / (limit / from - 1)
    const mean = goodputs.reduce((sum, each) => sum + each, 0) / goodputs.length
    if (limit < from) {
      const cost = share(mean)
      if (goodputs.length === DOWN_WINDOWS && cost < LITTLE) end(one, { kept: true, upNext: false })
      else if (goodputs.length === DOWN_WINDOWS || cost > SURE) end(one, { kept: false, upNext: true })
      return
    }
    const brought = share(goodput)
    if (brought >= SURE || (goodputs.length > 1 && brought >= WORTH)) {
      sureSteps = brought >= SURE ? sureSteps + 1 : 0
      end(one, { kept: true, upNext: true })
      usual = mean
      rest = 0
      tryOne()
    } else if (brought < WORTH) end(one, { kept: false, upNext: false })
  }
  return {
    get limit() {
      return limit
    },
    done(work, busy, requests = 1) {
      const at = now()
      if (at - lastAt > IDLE_MS) {
        startAnew()
        window = openWindow(at)
      }
      lastAt = at
      window.work += work
      window.requests += requests
      window.crowded ||= busy
      const elapsed = at - window.since
      if (elapsed < WINDOW_MS || window.requests < limit) return
      judge(window.work / elapsed, window.crowded)
      window = openWindow(at)
    },
    slowDown() {
      // Requests already on their way were asked at the old rate: their refusals are the same news.
      if (now() < calmUntil) return
      calmUntil = now() + 1000
      const half = limit >> 1
      startAnew()
      limit = Math.max(LOWEST, half)
      rest = REST
    },
  }
}
