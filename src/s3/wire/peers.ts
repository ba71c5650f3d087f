/** Durations kept of each class of sizes. */
const KEPT = 64
/** Fewer say nothing about what is usual. */
const ENOUGH = 32
/** Times the 95th percentile of its like, from which a request is in the slow tail. */
const FAR = 4
/** ms; nothing below is worth a second request */
const LEAST_MS = 250

/** How long requests take, by their size: what is slow for 4 KiB is fast for 8 MiB. */
export interface Peers {
  record(bytes: number, ms: number): void
  /** ms from which a request of that many bytes is far slower than its like; Infinity while too few are known. */
  limit(bytes: number): number
}

interface Class {
  durations: Float64Array
  count: number
  /** Of `count` durations; asked for again when there are more. */
  limit: number
  limitAt: number
}

export function openPeers(): Peers {
  const classes: (Class | undefined)[] = []
  return {
    record(bytes, ms) {
      const at = classOf(bytes)
      let one = classes[at]
      if (one === undefined) {
        one = { durations: new Float64Array(KEPT), count: 0, limit: Number.POSITIVE_INFINITY, limitAt: 0 }
        classes[at] = one
      }
      one.durations[one.count++ % KEPT] = ms
    },
    limit(bytes) {
      const one = classes[classOf(bytes)]
      if (one === undefined || one.count < ENOUGH) return Number.POSITIVE_INFINITY
      if (one.limitAt !== one.count) {
        const kept = one.durations.slice(0, Math.min(one.count, KEPT)).sort()
        const usual = kept[Math.floor(kept.length * 0.95)] ?? 0
        one.limit = Math.max(LEAST_MS, FAR * usual)
        one.limitAt = one.count
      }
      return one.limit
    },
  }
}

/** Sizes within a factor of 4, from 16 KiB on. */
function classOf(bytes: number): number {
  return bytes < 16_384 ? 0 : Math.floor((31 - Math.clz32(bytes / 4096)) / 2)
}
