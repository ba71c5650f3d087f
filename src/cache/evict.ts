import { isLongshoreError } from '../errors.ts'
import { freeSpace } from '../fs/space.ts'
import { type Candidate, chooseVictim, withoutVictim } from './evict-policy.ts'
import { dropEndedLeases, readHolds, whyHeld } from './leases.ts'
import { type Bounds, type Level, lowBounds, withinBounds } from './limits.ts'
import { lockCache, sweepOldLocks } from './locks.ts'
import { sweepRecords } from './records.ts'
import { removeDataset } from './remove-dataset.ts'
import { dropDeadReservations } from './reservations.ts'
import { sweepScratch } from './scratch.ts'
import { emptyTrash, trashBytes } from './trash.ts'
import type { Cache, SpaceLimit } from './types.ts'
import { countUsage, type DatasetUsage } from './usage.ts'

export interface EvictRequest {
  bounds: Bounds
  /** Once over a bound, go down to this share of it. */
  watermark: SpaceLimit
  /** ms since the last use */
  maxAge?: number | undefined
  /** ms: what was used later than this ago stays */
  grace: number
  /** Nothing is deleted: neither data nor leftovers. */
  dryRun: boolean
  signal?: AbortSignal | undefined
  onEvicted?: ((evicted: { id: string; path: string; bytes: number }) => void) | undefined
}

export interface Evicted {
  /** bytes in use, and free on the filesystem afterwards */
  before: number
  after: number
  free: number
  evicted: { id: string; path: string; bytes: number; lastUsed: number }[]
  /** What could not go, and why: leased, pinned, being fetched. */
  held: { id: string; path: string; bytes: number; why: string }[]
  withinLimits: boolean
  /** bytes of leftovers (trash of crashed evictions) that went too */
  cleaned: number
}

/**
 * Brings the cache within its bounds, least recently used versions first, and only what longshore has a record
 * of. Safe beside running fetches and other evictions: each dataset goes under its lock, and what is locked stays.
 */
export async function evictToBounds(cache: Cache, request: EvictRequest): Promise<Evicted> {
  const { signal, dryRun } = request
  const cleaned = dryRun ? await trashBytes(cache) : await cleanUp(cache, signal)
  const usage = await countUsage(dryRun ? { ...cache, readOnly: true } : cache, { signal })
  const datasets = new Map(usage.datasets.map((u) => [u.dataset.id, u]))
  let candidates = await findCandidates(cache, usage.datasets)
  let level = await readLevel(cache, dryRun ? usage.used - cleaned : usage.used)
  if (dryRun) level = { ...level, free: level.free + cleaned }
  const bounds = lowBounds(request.bounds, level, request.watermark)
  const result: Evicted = {
    before: level.used + cleaned,
    after: level.used,
    free: level.free,
    evicted: [],
    held: [],
    withinLimits: true,
    cleaned,
  }
  const options = { now: Date.now(), maxAge: request.maxAge, grace: request.grace }
  let failed: unknown
  for (;;) {
    signal?.throwIfAborted()
    const { victim, held } = chooseVictim(candidates, level, bounds, options)
    const found = victim && datasets.get(victim.id)
    if (!victim || !found) {
      result.held = held.map(({ candidate, why }) => ({ ...named(datasets, candidate), why }))
      break
    }
    const left = withoutVictim(candidates, victim)
    const removed = dryRun
      ? 'removed'
      : await removeDataset(cache, found, { signal }).catch((error: unknown) => {
          if (!isLongshoreError(error, 'LOCAL_IO')) throw error
          // Told in the end: what can't go must not keep the others from going.
          failed ??= error
          return error.message
        })
    if (removed !== 'removed' && removed !== 'gone') {
      const why = removed
      candidates = candidates.map((c) => (c.id === victim.id ? { ...c, held: why } : c))
      continue
    }
    candidates = left.candidates
    const used = Math.max(0, level.used + left.used)
    level = dryRun
      ? { ...level, used, free: level.free + left.freed, inodes: level.inodes + victim.files }
      : await readLevel(cache, used)
    if (removed === 'gone') continue
    const item = { ...named(datasets, victim), lastUsed: victim.lastUsed }
    result.evicted.push(item)
    request.onEvicted?.(item)
  }
  if (failed !== undefined) throw failed
  result.after = level.used
  result.free = level.free
  result.withinLimits = withinBounds(request.bounds, level)
  return result
}

/** What processes that died have left: all of it is known by its place, and none of it is data in use. */
export async function cleanUp(cache: Cache, signal: AbortSignal | undefined): Promise<number> {
  const { bytes } = await emptyTrash(cache, { signal })
  await sweepScratch(cache)
  await dropEndedLeases(cache)
  await lockCache(cache, () => dropDeadReservations(cache), { signal })
  await sweepOldLocks(cache)
  await sweepRecords(cache)
  return bytes
}

async function findCandidates(cache: Cache, usages: readonly DatasetUsage[]): Promise<Candidate[]> {
  const holds = await readHolds(cache)
  return usages.map(({ dataset, bytes, files, linked, fetching }) => ({
    id: dataset.id,
    bytes,
    files,
    linked,
    lastUsed: dataset.lastUsed,
    held: fetching ? 'being fetched' : whyHeld(holds.get(dataset.id)),
  }))
}

async function readLevel(cache: Cache, used: number): Promise<Level> {
  const { bytes, total, inodes } = await freeSpace(cache.root)
  return { used, free: bytes, total, inodes }
}

function named(
  datasets: ReadonlyMap<string, DatasetUsage>,
  { id, bytes }: Candidate,
): { id: string; path: string; bytes: number } {
  return { id, path: datasets.get(id)?.dataset.path ?? '', bytes }
}
