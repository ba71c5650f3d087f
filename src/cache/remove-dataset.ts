import { rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { folderOf, readDataset } from './datasets.ts'
import { adoptLinks } from './evict-policy.ts'
import { readHolds, whyHeld } from './leases.ts'
import { lockCache, lockDataset } from './locks.ts'
import { journalFolder, stagingFolder } from './paths.ts'
import { dropReadyFolder, listReady, withdrawReady, writeReady } from './ready.ts'
import { recordIds, removeRecord } from './records.ts'
import { deleteTrash, moveToTrash } from './trash.ts'
import type { Cache } from './types.ts'
import { type DatasetUsage, readUsage, writeUsage } from './usage.ts'

/**
 * Takes one dataset version away: 'removed', 'gone' (somebody else did), or why it stays. In this order, so that
 * a crash anywhere leaves a state that the next evict or preload mends: READY withdrawn durably, the folder
 * renamed into the trash, its links handed over, the trash deleted, the record removed.
 */
export async function removeDataset(
  cache: Cache,
  { dataset, bytes }: DatasetUsage,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<'removed' | 'gone' | (string & {})> {
  const { id } = dataset
  const lock = await lockDataset(cache, id, { wait: false, signal: options.signal })
  if (lock === undefined) return 'being fetched'
  try {
    const now = await readDataset(cache, id)
    if (now === undefined) return 'gone'
    if (now.lastUsed > dataset.lastUsed) return 'used a moment ago'
    const before = whyHeld((await readHolds(cache, { dataset: id })).get(id))
    if (before !== undefined) return before
    const readies = await listReady(cache, id)
    await withdrawReady(cache, id)
    // Leases are taken without this lock, and READY is read after: whoever came in between either sees no READY
    // or is seen here.
    const since = whyHeld((await readHolds(cache, { dataset: id })).get(id))
    if (since !== undefined) {
      for (const ready of readies) await writeReady(cache, id, ready.selection, ready)
      return since
    }
    // Only now: made anew by an evict that runs as root, it would be root's.
    await dropReadyFolder(cache, id)
    const folder = folderOf(cache, dataset)
    const placed = await discard(cache, folder, bytes)
    // A version that was never whole is in here, all of it.
    await discard(cache, stagingFolder(cache, id), placed ? 0 : bytes)
    await discard(cache, journalFolder(cache, id), 0)
    await removeEmptyParents(cache, folder)
    // Its leases stay: one that was taken meanwhile belongs to a preload that waits for this lock.
    await removeRecord(cache, 'usage', id)
    await removeRecord(cache, 'datasets', id)
    return 'removed'
  } finally {
    await lock.release()
  }

  /** false: it was not there. */
  async function discard(cache: Cache, path: string, bytes: number): Promise<boolean> {
    let trash: string | undefined
    try {
      trash = await moveToTrash(cache, path, bytes)
    } catch (error) {
      throw new LongshoreError('LOCAL_IO', `cannot evict ${path}: ${errorCode(error)}`, {
        path,
        hint: 'evict as the user who owns the cache; the next run goes on from here',
        cause: error,
      })
    }
    if (path === folderOf(cache, dataset)) await handOver(cache, id)
    if (trash !== undefined) await deleteTrash(cache, trash, options)
    return trash !== undefined
  }
}

/** Newer versions' links to this one are now the only names of their files. */
async function handOver(cache: Cache, gone: string): Promise<void> {
  await lockCache(cache, async () => {
    for await (const id of recordIds(cache, 'usage')) {
      const usage = id === gone ? undefined : await readUsage(cache, id)
      if (usage?.linked.some((link) => link.from === gone)) await writeUsage(cache, adoptLinks(usage, gone))
    }
  })
}

/** The folders above it, up to the cache's own, as far as nothing else is in them. */
async function removeEmptyParents(cache: Cache, folder: string): Promise<void> {
  for (let at = dirname(folder); at.length > cache.root.length && at !== dirname(at); at = dirname(at)) {
    try {
      await rmdir(at)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') continue
      return
    }
  }
}
