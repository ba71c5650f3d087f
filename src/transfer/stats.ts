import type { Budget } from './budget.ts'
import type { Climb } from './climb.ts'
import type { Counters } from './counters.ts'
import type { EngineStats } from './types.ts'

/** Reasons beyond these are counted together: a server's odd answers must not fill a report. */
const MOST_REASONS = 32

/** The engine's counters, and the hands that count. `threads`: what the worker threads counted. */
export function openStats(about: {
  budget: Budget
  climb: Climb
  onRetry: ((reason: string) => void) | undefined
}): { stats: EngineStats; counters: Counters; handedOver(reason: string): void } {
  const { budget, climb } = about
  const stats: EngineStats = {
    requests: {},
    retries: 0,
    slowdowns: 0,
    bytesIn: 0,
    bytesOut: 0,
    get concurrency() {
      return climb.limit
    },
    get peakBuffer() {
      return budget.peak
    },
    handedOver: {},
    workers: 0,
  }
  return {
    stats,
    counters: {
      request(kind) {
        stats.requests[kind] = (stats.requests[kind] ?? 0) + 1
      },
      retry(reason, slowDown) {
        stats.retries++
        if (slowDown) {
          stats.slowdowns++
          climb.slowDown()
        }
        about.onRetry?.(reason)
      },
      bytesIn(bytes) {
        stats.bytesIn += bytes
      },
      bytesOut(bytes) {
        stats.bytesOut += bytes
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
