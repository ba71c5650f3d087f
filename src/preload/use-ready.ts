import { existsSync } from 'node:fs'
import { folderOf, readDataset, touchDataset } from '../cache/datasets.ts'
import { type HeldLease, pinDataset, takeLease } from '../cache/leases.ts'
import { listReady, readReady } from '../cache/ready.ts'
import type { Cache } from '../cache/types.ts'
import { isLongshoreError } from '../errors.ts'
import { type FetchTotals, noTotals } from '../fetch/totals.ts'
import type { Amount } from '../fs/amount.ts'
import type { Ready } from '../manifest/ready.ts'
import type { LeaseWish } from './job.ts'
import { scanVersion } from './scan.ts'
import { covers, type Selection, selectionText } from './select.ts'
import type { Version } from './version.ts'

export interface InUse {
  ready: Ready
  lease?: HeldLease | undefined
}

/**
 * READY that covers the selection, under a lease; undefined when there is none. The lease comes first and READY
 * is read again after it: an evict that withdrew READY in between has not seen the lease, one that comes later does.
 */
export async function useReady(
  cache: Cache,
  id: string,
  options: { selection: Selection; lease?: LeaseWish | undefined },
): Promise<InUse | undefined> {
  const found = (await listReady(cache, id)).find((r) => covers(r.selection, options.selection))
  if (!found) return undefined
  const lease = options.lease && (await (cache.readOnly ? tryHold : hold)(cache, id, options.lease))
  try {
    const ready = await readReady(cache, id, found.selection)
    const dataset = ready && (await readDataset(cache, id))
    // A folder that somebody removed by hand is not there, whatever READY says: it is fetched again.
    if (!ready || !dataset || !existsSync(folderOf(cache, dataset))) {
      await lease?.giveBack()
      return undefined
    }
    if (!cache.readOnly) await keep(cache, id, options.lease)
    return { ready, lease }
  } catch (error) {
    await lease?.giveBack()
    throw error
  }
}

/**
 * What the report says of a source that is READY: nothing was moved. Part of a larger READY is counted by `version`;
 * undefined where that can't be read any more, and then all that is READY is told.
 */
export async function reportReady(
  { ready, lease }: InUse,
  selection: Selection,
  version: () => Promise<Version | undefined> | Version | undefined,
): Promise<FetchTotals & Amount & Pick<InUse, 'lease'>> {
  try {
    const larger = ready.selection === selectionText(selection) ? undefined : await version()
    const { files, bytes } = larger ? (await scanVersion(larger, { selection })).all : ready
    return { ...noTotals(), files, bytes, kept: { files, bytes }, lease }
  } catch (error) {
    await lease?.giveBack()
    throw error
  }
}

/** The lease that the user wants; first of all, so that no evict comes between. */
export async function hold(cache: Cache, dataset: string, wish: LeaseWish): Promise<HeldLease> {
  return takeLease(cache, { dataset, owner: wish.owner, ms: wish.ms, live: wish.live })
}

/** What else says that it is in use: its last use, and the pin where asked. Once it is READY: half of it is not kept. */
export async function keep(cache: Cache, dataset: string, wish: LeaseWish | undefined): Promise<void> {
  if (wish?.pin) await pinDataset(cache, { dataset, owner: wish.owner })
  await touchDataset(cache, dataset)
}

/** In a cache that others fill, a reader may still take leases where its mode or its mount allows. */
async function tryHold(cache: Cache, dataset: string, wish: LeaseWish): Promise<HeldLease | undefined> {
  try {
    return await hold(cache, dataset, wish)
  } catch (error) {
    if (!isLongshoreError(error, 'LOCAL_IO')) throw error
    cache.warn(`no lease can be taken in ${cache.root}: the data can be evicted while it is read`, {
      path: cache.root,
      hint: 'make the cache with --cache-mode shared, or have its owner preload with a longer --lease, or --pin',
    })
    return undefined
  }
}
