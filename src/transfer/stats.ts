import type { Budget } from './budget.ts'
import type { Climb } from './climb.ts'
import type { Counters } from './counters.ts'
import type { Crew } from './crew.ts'
import { KINDS, SUM } from './shared.ts'
import type { EngineStats } from './types.ts'

/** Reasons beyond these are counted together: a server's odd answers must not fill a report. */
const MOST_REASONS = 32

/** The engine's counters, and the hands that count.  */
export function openStats(about: {
  budget: Budget
  climb: Climb
  onRetry: ((reason: string) => void) | undefined
  /** What the worker threads counted; undefined: there are none. */
  threads(): Pick<Crew, 'sum' | 'started' | 'alive'> | undefined
}): { stats: EngineStats; counters: Counters; handedOver(reason: string): void } {
  const { budget, climb } = about
  const requests: Record<string, number> = {}
  const own = { requests, behind: 0, retries: 0, slowdowns: 0, bytesIn: 0, bytesOut: 0 }
  const threads = (at: number) => about.threads()?.sum(at) ?? 0
  const stats: EngineStats = {
    get requests() {
      const all = { ...own.requests }
      for (const [i, kind] of KINDS.entries()) {
        const made = threads(SUM.firstKind + i)
        if (made > 0) all[kind] = (all[kind] ?? 0) + made
      }
      return all
    },
    get behind() {
      return own.behind + threads(SUM.behind)
    },
    get retries() {
      return own.retries + threads(SUM.retries)
    },
    get slowdowns() {
      return own.slowdowns + threads(SUM.slowdowns)
    },
    get bytesIn() {
      return own.bytesIn + threads(SUM.bytesIn)
    },
    get bytesOut() {
      return own.bytesOut + threads(SUM.bytesOut)
    },
    get concurrency() {
      return climb.limit
    },
    get peakBuffer() {
      return budget.peak
    },
    handedOver: {},
    get workers() {
      return about.threads()?.started ?? 0
    },
    get alive() {
      return about.threads()?.alive ?? 0
    },
  }
  return {
    stats,
    counters: {
      request(kind) {
        own.requests[kind] = (own.requests[kind] ?? 0) + 1
      },
      behind() {
        own.behind++
      },
      retry(reason, slowDown) {
        own.retries++
        if (slowDown) {
          own.slowdowns++
          climb.slowDown()
        }
        about.onRetry?.(reason)
      },
      bytesIn(bytes) {
        own.bytesIn += bytes
      },
      bytesOut(bytes) {
        own.bytesOut += bytes
      },
    },
    handedOver(reason) {
      const { handedOver } = stats
      const known = reason in handedOver || Object.keys(handedOver).length < MOST_REASONS
      const name = known ? reason : 'other'
      handedOver[name] = (handedOver[name] ?? 0) + 1
    },
  }
}
