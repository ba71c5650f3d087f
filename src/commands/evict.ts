import { type Evicted, evictToBounds } from '../cache/evict.ts'
import { resolveBounds } from '../cache/limits.ts'
import { LongshoreError } from '../errors.ts'
import { freeSpace } from '../fs/space.ts'
import type { CacheOptions, SpaceLimit } from './cache-options.ts'
import type { CommandContext } from './context.ts'
import { openExisting } from './open-existing.ts'

export interface EvictOptions extends CacheOptions {
  maxSize?: SpaceLimit | undefined
  /** Without maxSize, maxAge or this: 10% of the filesystem. */
  minFree?: SpaceLimit | undefined
  /** Once over a limit, go down to this share of it. Default 90%. */
  lowWatermark?: SpaceLimit | undefined
  /** ms since the last use */
  maxAge?: number | undefined
  /** ms: never what was used later than this ago */
  grace: number
}

export interface EvictReport extends Omit<Evicted, 'cleaned'> {
  cacheDir: string
  /** 5: not within the limits */
  exit: 0 | 5
}

/** Brings the cache under its limits. Where no cache was made yet there is nothing to do. */
export async function evict(options: EvictOptions, context: CommandContext): Promise<EvictReport> {
  checkLimits(options)
  const { progress, signal, dryRun } = context
  const opened = await openExisting(options, context, { readOnly: dryRun })
  if (!opened.cache) {
    return {
      cacheDir: opened.root,
      before: 0,
      after: 0,
      free: 0,
      evicted: [],
      held: [],
      withinLimits: true,
      exit: 0,
    }
  }
  const { cache } = opened
  progress.phase('evict')
  const { total } = await freeSpace(cache.root)
  const unbounded = !options.maxSize && !options.minFree && options.maxAge === undefined
  const minFree = unbounded ? { percent: 10 } : options.minFree
  const { before, after, free, evicted, held, withinLimits } = await evictToBounds(cache, {
    bounds: resolveBounds({ maxSize: options.maxSize, minFree }, total),
    watermark: options.lowWatermark ?? { percent: 90 },
    maxAge: options.maxAge,
    grace: options.grace,
    dryRun,
    signal,
    onEvicted(dataset) {
      progress.done({ bytes: dataset.bytes, objects: 1 })
      progress.item('evicted', { ...dataset, dryRun })
    },
  })
  const exit = withinLimits ? 0 : 5
  return { cacheDir: cache.root, before, after, free, evicted, held, withinLimits, exit }
}

function checkLimits({ maxSize, minFree, lowWatermark, maxAge, grace }: EvictOptions): void {
  const shares = { '--max-size': maxSize, '--min-free': minFree, '--low-watermark': lowWatermark }
  for (const [flag, limit] of Object.entries(shares)) {
    if (limit === undefined) continue
    const value = 'bytes' in limit ? limit.bytes : limit.percent
    if (value >= 0 && ('bytes' in limit || value <= 100)) continue
    throw new LongshoreError('USAGE', `${flag} ${value} is out of range`, {
      hint: 'give a size (3TiB) or a percentage (0% to 100%)',
    })
  }
  for (const [flag, ms] of Object.entries({ '--max-age': maxAge, '--grace': grace })) {
    if (ms === undefined || ms >= 0) continue
    throw new LongshoreError('USAGE', `${flag} must not be negative`, { hint: 'give a duration: 90s, 7d' })
  }
}
