import type { CommandContext } from './context.ts'

/** Where the cache is and how big it may get: shared by preload, cat, evict, release and status. */
export interface CacheOptions {
  /** undefined: LONGSHORE_CACHE_DIR, config (the CLI resolves both), else XDG_CACHE_HOME/longshore. */
  cacheDir?: string | undefined
  cacheMode: 'private' | 'group' | 'shared'
}

export type { SpaceLimit } from '../cache/types.ts'
export type { CommandContext }
