import { performance } from 'node:perf_hooks'

/** Share of the time since it was asked last (at first: since this call) in which this thread's event loop was busy, 0 to 1. */
export function openBusyShare(): () => number {
  let before = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    return utilization
  }
}
