import type { SpaceLimit } from './types.ts'

/** Bounds of a cache, in bytes; undefined: none. */
export interface Bounds {
  /** most bytes in use by the cache */
  maxUsed?: number | undefined
  /** least bytes free on the filesystem */
  minFree?: number | undefined
  /** least files that can still be made */
  minInodes?: number | undefined
}

/** What there is to compare with them. */
export interface Level {
  used: number
  free: number
  /** bytes of the filesystem */
  total: number
  inodes: number
}

export function limitBytes(limit: SpaceLimit, total: number): number {
  return 'bytes' in limit ? limit.bytes : Math.floor((total * limit.percent) / 100)
}

export function resolveBounds(
  limits: { maxSize?: SpaceLimit | undefined; minFree?: SpaceLimit | undefined },
  total: number,
): Bounds {
  return {
    maxUsed: limits.maxSize && limitBytes(limits.maxSize, total),
    minFree: limits.minFree && limitBytes(limits.minFree, total),
  }
}

export function withinBounds(bounds: Bounds, level: Level): boolean {
  return (
    level.used <= (bounds.maxUsed ?? Number.POSITIVE_INFINITY) &&
    level.free >= (bounds.minFree ?? 0) &&
    level.inodes >= (bounds.minInodes ?? 0)
  )
}

/**
 * How far down an eviction goes once a bound is broken, so that it does not start again at the next byte: each
 * broken bound at `watermark` of what it allows. For free space that is a share of what may be in use at all.
 * A watermark in bytes is one for the cache's size.
 */
export function lowBounds(bounds: Bounds, level: Level, watermark: SpaceLimit): Bounds {
  const low: Bounds = { ...bounds }
  const share = 'percent' in watermark ? watermark.percent / 100 : 1
  if (bounds.maxUsed !== undefined && level.used > bounds.maxUsed) {
    low.maxUsed =
      'bytes' in watermark ? Math.min(watermark.bytes, bounds.maxUsed) : Math.floor(bounds.maxUsed * share)
  }
  if (bounds.minFree !== undefined && level.free < bounds.minFree) {
    low.minFree = Math.ceil(level.total - (level.total - bounds.minFree) * share)
  }
  return low
}
