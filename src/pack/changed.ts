import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { IndexedSample } from '../formats/sample-index.ts'
import type { ObjectStore } from '../s3/store.ts'
import { eachOf } from './each-of.ts'

export interface Source {
  store: ObjectStore
  /** '' or ending in '/'. */
  prefix: string
}

/** An object of SRC is not what was listed, or is gone. */
export function isSourceChanged(error: unknown, source: Source): error is LongshoreError {
  if (!isLongshoreError(error, 'NOT_FOUND') && !isLongshoreError(error, 'SOURCE_CHANGED')) return false
  // A slice at DST that is not as it was written is no change of SRC.
  return isBelow(error.path, source)
}

/** Whether an error is about something below `place`: local errors name a path, not a URL. */
export function isBelow(path: string | undefined, place: Source): boolean {
  const folder = `${place.store.url}/${place.prefix}`
  return path !== undefined && (path.startsWith(folder) || `file://${path}`.startsWith(folder))
}

export function sourceChanged(error: LongshoreError): LongshoreError {
  return new LongshoreError('SOURCE_CHANGED', `an object of SRC changed since it was listed: ${error.path}`, {
    ...(error.path === undefined ? {} : { path: error.path }),
    hint: 'pack into a new prefix, or run again with --on-changed skip to leave it out',
    cause: error,
  })
}

/**
 * Looks at every object of a shard once: what changed, and what goes with it because a sample with a member
 * missing is worse than none. One look a shard, not one a failure: all of them may have changed.
 */
export async function findChanged(
  samples: AsyncIterable<readonly IndexedSample[]>,
  source: Source,
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const changed = new Map<string, string>()
  await eachOf(each(samples), 16, async ({ members }) => {
    const lost: string[] = []
    for (const { source: rel, size, etag } of members) {
      const now = await source.store.head(source.prefix + rel, { signal })
      if (now === undefined) changed.set(rel, 'gone since it was listed')
      else if (now.size !== size || (etag !== undefined && now.etag !== etag)) {
        changed.set(rel, 'changed since it was listed')
      } else continue
      lost.push(rel)
    }
    if (lost.length === 0) return
    for (const { source: rel } of members) {
      if (!changed.has(rel)) changed.set(rel, `its sample lost ${lost.join(', ')}`)
    }
  })
  return changed
}

async function* each(batches: AsyncIterable<readonly IndexedSample[]>): AsyncGenerator<IndexedSample> {
  for await (const batch of batches) yield* batch
}
