import type { Progress } from '../progress.ts'
import type { Cache, CacheMode } from './types.ts'

export interface OpenCacheOptions {
  /** As given by flag, environment or config: then any filesystem is taken. undefined: XDG_CACHE_HOME/longshore, ~/.cache/longshore. */
  cacheDir?: string | undefined
  /** For a cache that is made now; an existing one keeps its own. */
  mode: CacheMode
  env: Readonly<Record<string, string | undefined>>
  /** false: a folder without a cache is NOT_FOUND. */
  create: boolean
  /** Nothing will be written. */
  readOnly?: boolean | undefined
  warn?: Progress['warn'] | undefined
}

/**
 * Opens the cache, making it where asked. LOCAL_IO: can't be written or made; UNSUPPORTED: the default folder is
 * on a network or overlay filesystem, or the cache was made by a newer longshore; USAGE: no folder to be found.
 */
export declare function openCache(options: OpenCacheOptions): Promise<Cache>
