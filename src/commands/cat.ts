import type { Writable } from 'node:stream'
import { catObject } from '../preload/cat-object.ts'
import { createRun } from '../preload/run.ts'
import type { CacheOptions, SpaceLimit } from './cache-options.ts'
import type { CommandContext } from './context.ts'

export interface CatOptions extends CacheOptions {
  source: string
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  /** The CLI's stdout, or a test's sink. */
  output: Writable
}

export interface CatReport {
  bytes: number
  fetched: number
  check: string
}

/**
 * Writes one object to `output`, through the cache. A reader that goes away early (`| head`) ends it quietly;
 * what was fetched until then is kept for the next one.
 */
export async function cat(options: CatOptions, context: CommandContext): Promise<CatReport> {
  const { cacheDir, cacheMode, maxSize, minFree, source, output } = options
  const run = createRun(
    {
      ...{ cacheDir, cacheMode, maxSize, minFree, include: [], exclude: [] },
      ...{ verify: 'checksum', makeRoom: false },
      // Held while it is read; afterwards it is as old as its last use.
      ...{ lease: 0, pin: false, live: true, offline: false, readOnly: false },
    },
    context,
  )
  try {
    const cache = await run.cache()
    return await catObject(source, output, { ...run.job, cache })
  } finally {
    await run.close()
  }
}
