import { readDataset, touchDataset } from '../cache/datasets.ts'
import { type HeldLease, pinDataset, takeLease } from '../cache/leases.ts'
import { listReady, readReady } from '../cache/ready.ts'
import type { Cache } from '../cache/types.ts'
import type { Ready } from '../manifest/ready.ts'
import type { LeaseWish } from './job.ts'
import { covers, type Selection } from './select.ts'

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
  options: { selection: Selection; lease: LeaseWish },
): Promise<InUse | undefined> {
  const found = (await listReady(cache, id)).find((r) => covers(r.selection, options.selection))
  if (!found) return undefined
  if (cache.readOnly) return { ready: found }
  const lease = await hold(cache, id, options.lease)
  const ready = await readReady(cache, id, found.selection)
  if (!ready || !(await readDataset(cache, id))) {
    await lease.release()
    return undefined
  }
  await touchDataset(cache, id)
  return { ready, lease }
}

/** Lease, and pin where asked, as the user wants them. */
export async function hold(cache: Cache, dataset: string, wish: LeaseWish): Promise<HeldLease> {
  if (wish.pin) await pinDataset(cache, { dataset, owner: wish.owner })
  return takeLease(cache, { dataset, owner: wish.owner, ms: wish.ms, live: wish.live })
}
