import { join } from 'node:path'
import { acquireLock, isLocked, type Lock, type LockOptions, sweepLocks } from '../fs/lock.ts'
import type { Cache } from './types.ts'

/** The folder of the cache's locks. */
export function lockFolder(cache: Cache): string {
  return join(cache.state, 'locks')
}

/**
 * Locks of live leases lie beside the leases: in a shared cache everyone may write there, and whoever could write
 * among the others could keep its owner from fetching and evicting.
 */
export function leaseLockFolder(cache: Cache): string {
  return join(cache.state, 'leases')
}

/** Removes what killed processes left of locks that nobody will ever ask for again. */
export async function sweepOldLocks(cache: Cache): Promise<void> {
  await sweepLocks(lockFolder(cache), /^(?:reservation-[0-9a-f]{16}|scratch-[0-9a-f]{12})$/)
  await sweepLocks(leaseLockFolder(cache), /^lease-[0-9a-f]{16}-[0-9a-f]{12}$/)
}

/**
 * The dataset is being fetched, or evicted, by the holder, and by nobody else on this node. Whoever waited looks
 * for READY again before fetching. Needs a writable cache (LOCAL_IO). Undefined only with `wait: false`.
 */
export async function lockDataset(cache: Cache, id: string, options: LockOptions): Promise<Lock | undefined> {
  return acquireLock(lockFolder(cache), `dataset-${id}`, options)
}

export async function isDatasetLocked(cache: Cache, id: string): Promise<boolean> {
  return isLocked(lockFolder(cache), `dataset-${id}`)
}

/**
 * Space is counted and promised by one process at a time. Held for moments, never over a transfer; take it after
 * a dataset's lock, never before.
 */
export async function lockCache<T>(
  cache: Cache,
  work: () => Promise<T>,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<T> {
  const lock = await acquireLock(lockFolder(cache), 'cache', { wait: true, signal: options.signal })
  try {
    return await work()
  } finally {
    await lock?.release()
  }
}
