/** Below it nothing is tried, since few answers at a time cost more CPU each; refusals may lead there. */
const START = 32
const LOWEST = 4
const HIGHEST = 256
/** ms over which goodput is measured before the next step */
const WINDOW_MS = 400
/** A request is worth this many bytes: for small objects it is the count that matters. */
const REQUEST_BYTES = 64 * 1024
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
/** Windows to rest after a step that was taken back: twice as many each time, up to the second. */
const REST = 2
const LONG_REST = 64

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
  let since = now()
  let work = 0
  let crowded = false
  /** Goodput at this limit, or at the one before the trial; 0: not known. */
  let usual = 0
  let trial: Trial | undefined
  let upNext = true
  let sureSteps = 0
  let warming = WARM_UP
  let rest = 0
  let nextRest = REST
  let calmUntil = 0
  const forget = () => {
    usual = 0
    trial = undefined
    sureSteps = 0
  }
  const tryOne = () => {
    const from = limit
    // The last few would bring less than can be measured.
    if (upNext && limit < HIGHEST - (HIGHEST >> 3))
      limit = Math.min(HIGHEST, limit + Math.max(2, sureSteps > 1 ? limit >> 1 : limit >> 2))
    else limit = Math.min(limit, Math.max(START, limit - (limit >> 2)))
    trial = limit === from ? undefined : { from, goodputs: [] }
    if (trial === undefined) end({ kept: false, upNext: !upNext })
  }
  const end = (how: { kept: boolean; upNext: boolean }) => {
    if (!how.kept) {
      limit = Math.max(LOWEST, trial?.from ?? limit)
      sureSteps = 0
    }
    trial = undefined
    upNext = how.upNext
    rest = how.kept ? REST : nextRest
    nextRest = how.kept ? REST : Math.min(LONG_REST, nextRest * 2)
  }
  const judge = (goodput: number) => {
    if (!crowded) {
      // The plan, not the limit, decides the pace: nothing can be learned.
      forget()
      warming = WARM_UP
    } else if (trial !== undefined) judgeTrial(trial, goodput)
    else if (rest > 0) {
      rest--
      // One window's luck is no measure for the next step.
      usual = usual === 0 ? goodput : (usual + goodput) / 2
    } else {
      const warms = warming > 0 && (usual === 0 || goodput > usual * STEADY)
      usual = goodput
      if (warms) warming--
      else tryOne()
    }
  }
  const judgeTrial = ({ from, goodputs }: Trial, goodput: number) => {
    goodputs.push(goodput)
    /** 1: goodput moved as much as the limit. */
    const share = (now: number) => (now / usual - 1) / (limit / from - 1)
    const mean = goodputs.reduce((sum, one) => sum + one, 0) / goodputs.length
    if (limit < from) {
      const cost = share(mean)
      if (goodputs.length === DOWN_WINDOWS && cost < LITTLE) end({ kept: true, upNext: false })
      else if (goodputs.length === DOWN_WINDOWS || cost > SURE) end({ kept: false, upNext: true })
      return
    }
    const brought = share(goodput)
    if (brought >= SURE || (goodputs.length > 1 && brought >= WORTH)) {
      const steps = brought >= SURE ? sureSteps + 1 : 0
      end({ kept: true, upNext: true })
      usual = mean
      sureSteps = steps
      rest = 0
      tryOne()
    } else if (brought < WORTH) end({ kept: false, upNext: false })
  }
  return {
    get limit() {
      return limit
    },
    done(part, busy) {
      work += part
      crowded ||= busy
      const elapsed = now() - since
      if (elapsed < WINDOW_MS) return
      judge(work / elapsed)
      since = now()
      work = 0
      crowded = false
    },
    slowDown() {
      // Requests already on their way were asked at the old rate: their refusals are the same news.
      if (now() < calmUntil) return
      calmUntil = now() + 1000
      limit = Math.max(LOWEST, limit >> 1)
      forget()
      upNext = true
      rest = REST
      nextRest = REST
    },
  }
}
