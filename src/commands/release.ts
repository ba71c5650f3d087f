import { isAbsolute, relative, resolve } from 'node:path'
import { listDatasets } from '../cache/datasets.ts'
import { releaseHolds } from '../cache/leases.ts'
import type { Cache } from '../cache/types.ts'
import { LongshoreError } from '../errors.ts'
import type { CacheOptions } from './cache-options.ts'
import type { CommandContext } from './context.ts'
import { openExisting } from './open-existing.ts'

export interface ReleaseOptions extends CacheOptions {
  /** A lease's or pin's id as `status` shows it, or a lease owner, or a dataset's path. */
  id: string
}

export interface ReleaseReport {
  released: { id: string; kind: 'lease' | 'pin'; dataset: string }[]
}

/**
 * Ends leases and pins. One that was released already is NOT_FOUND. A live lease (`preload -- CMD`) ends too: its
 * command may then find its data evicted.
 */
export async function release(options: ReleaseOptions, context: CommandContext): Promise<ReleaseReport> {
  const { id } = options
  const { cache, root } = await openExisting(options, context, { readOnly: context.dryRun })
  const dataset = cache && ((await findDataset(cache, id)) ?? (/^[0-9a-f]{16}$/.test(id) ? id : undefined))
  const released = cache
    ? await releaseHolds(
        cache,
        { id, owner: id, ...(dataset !== undefined && { dataset }) },
        { dryRun: context.dryRun },
      )
    : []
  if (released.length === 0) {
    throw new LongshoreError('NOT_FOUND', `no lease or pin in ${root} goes by ${JSON.stringify(id)}`, {
      path: root,
      hint: '`longshore status` lists leases and pins with their ids and owners',
    })
  }
  for (const hold of released) context.progress.item('released', { ...hold, dryRun: context.dryRun })
  return { released }
}

/** The dataset whose folder this is: relative to the cache, absolute, or from the working folder. */
async function findDataset(cache: Cache, path: string): Promise<string | undefined> {
  const wanted = new Set([path.replace(/\/+$/, ''), relative(cache.root, resolve(path))])
  if (isAbsolute(path)) wanted.add(relative(cache.root, path))
  for await (const dataset of listDatasets(cache)) if (wanted.has(dataset.path)) return dataset.id
  return undefined
}
