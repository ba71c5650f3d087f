import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { openCache } from '../cache/open.ts'
import type { Cache } from '../cache/types.ts'
import { isLongshoreError } from '../errors.ts'
import type { CacheOptions } from './cache-options.ts'
import type { CommandContext } from './context.ts'

/**
 * The cache for commands that never make one. On a node where nothing was preloaded yet (no folder, or an empty
 * one) there is none, and that is told as a warning; a folder with other things in it is NOT_FOUND: a typo.
 */
export async function openExisting(
  options: CacheOptions,
  context: CommandContext,
  { readOnly }: { readOnly: boolean },
): Promise<{ root: string; cache: Cache | undefined }> {
  const { cacheDir, cacheMode: mode } = options
  const warn = context.progress.warn.bind(context.progress)
  try {
    const cache = await openCache({ cacheDir, mode, env: context.env, create: false, readOnly, warn })
    return { root: cache.root, cache }
  } catch (error) {
    if (!isLongshoreError(error, 'NOT_FOUND') || error.path === undefined) throw error
    const root = resolve(error.path)
    const entries = await readdir(root).catch(() => [])
    if (entries.length > 0) throw error
    context.progress.warn('nothing is cached here yet', { path: root })
    return { root, cache: undefined }
  }
}
