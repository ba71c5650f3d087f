import type { CacheOptions, SpaceLimit } from './cache-options.ts'
import type { CommandContext } from './context.ts'

export interface EvictOptions extends CacheOptions {
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  /** Once over a limit, go down to this share of it. Default 90%. */
  lowWatermark?: SpaceLimit | undefined
  /** ms since the last use */
  maxAge?: number | undefined
  /** ms: never what was used later than this ago */
  grace: number
}

export interface EvictReport {
  cacheDir: string
  before: number
  after: number
  free: number
  evicted: { id: string; path: string; bytes: number; lastUsed: number }[]
  /** What could not go, and why: leased, pinned, being fetched. */
  held: { id: string; path: string; bytes: number; why: string }[]
  /** false: limits still not met (exit 5) */
  withinLimits: boolean
  exit: 0 | 5
}

export declare function evict(options: EvictOptions, context: CommandContext): Promise<EvictReport>
