import { randomBytes } from 'node:crypto'
import { LongshoreError } from '../errors.ts'
import type { Amount } from '../fs/amount.ts'
import { acquireLock, forgetLock } from '../fs/lock.ts'
import { freeSpace } from '../fs/space.ts'
import { readDataset } from './datasets.ts'
import { cleanUp, evictToBounds } from './evict.ts'
import { adoptLinks } from './evict-policy.ts'
import { formatBytes } from './format-bytes.ts'
import { type Bounds, resolveBounds } from './limits.ts'
import { lockCache, lockFolder } from './locks.ts'
import { stateFile } from './paths.ts'
import { removeRecord, writeRecord } from './records.ts'
import {
  dropDeadReservations,
  type ReservationRecord,
  reservationLock,
  updateReservation,
} from './reservations.ts'
import type { Cache, LinkedAmount, SpaceLimit } from './types.ts'
import { countUsage, type DatasetUsage, measureState, readUsage, writeUsage } from './usage.ts'

export interface ReserveRequest extends Amount {
  /** The dataset that will grow; its lock is held by the caller, and it is recorded. `bytes`/`files`: what is still to be written, at most. */
  dataset: string
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  /** Evict what nobody holds, least recently used first, rather than refuse. */
  makeRoom: boolean
  signal?: AbortSignal | undefined
  /** Told of each dataset that goes to make room. */
  onEvicted?: ((evicted: { id: string; path: string; bytes: number }) => void) | undefined
}

/** Space promised to one fetch. Ends with its process, whatever happens to that. */
export interface Reservation {
  /** Counts what is on the disk now, so that others don't wait for it twice. Cheap: call it once a file or range. */
  wrote(part: Amount): void
  /**
   * The fetch is complete: the dataset's folder has grown by `added` (all files that are new in it, those moved
   * from staging too), and has `linked` hard links more. Releases.
   */
  commit(grown: { added: Amount; linked: readonly LinkedAmount[] }): Promise<void>
  /** Gives the rest back. After a failure the dataset is measured when somebody next counts. Idempotent. */
  release(): Promise<void>
}

/** ms between two notes of how much is written */
const NOTE_MS = 1000

/**
 * Checks the limits before the first byte and promises the space. NO_SPACE: the disk has not that much, in bytes
 * (whole blocks) or inodes; OVER_LIMIT: --max-size or --min-free would be broken.
 */
export async function reserve(cache: Cache, request: ReserveRequest): Promise<Reservation> {
  const { signal } = request
  for (let attempt = 0; ; attempt++) {
    const outcome = await lockCache(cache, () => tryReserve(cache, request), { signal })
    if ('reservation' in outcome) return outcome.reservation
    if (!request.makeRoom || attempt >= 3) throw outcome.refused
    const evict = { bounds: outcome.bounds, watermark: { percent: 100 }, grace: 0, signal }
    const cleaned = await cleanUp(cache, signal)
    // Nothing is evicted in vain: first the question whether it would be enough.
    const plan = await evictToBounds(cache, { ...evict, dryRun: true })
    if (!plan.withinLimits && cleaned === 0) throw outcome.refused
    if (!plan.withinLimits) continue
    await evictToBounds(cache, { ...evict, dryRun: false, onEvicted: request.onEvicted })
  }
}

type Outcome = { reservation: Reservation } | { refused: LongshoreError; bounds: Bounds }

async function tryReserve(cache: Cache, request: ReserveRequest): Promise<Outcome> {
  const { dataset, signal } = request
  await dropDeadReservations(cache)
  const usage = await countUsage(cache, { own: dataset, signal })
  const space = await freeSpace(cache.root)
  const limits = resolveBounds(request, space.total)
  // A file takes whole blocks: a million small ones far more than their bytes.
  const need = request.bytes + request.files * space.block
  const promised = usage.outstanding.bytes + usage.outstanding.files * space.block
  const refuse = (code: 'NO_SPACE' | 'OVER_LIMIT', message: string, hint: string): Outcome => ({
    refused: new LongshoreError(code, message, { path: cache.root, hint }),
    bounds: {
      maxUsed: limits.maxUsed === undefined ? undefined : limits.maxUsed - request.bytes,
      minFree: need + promised + (limits.minFree ?? 0),
      minInodes: request.files + usage.outstanding.files,
    },
  })
  const more = request.makeRoom ? 'release leases or choose a smaller selection' : 'use --make-room'
  if (limits.maxUsed !== undefined && usage.used + request.bytes > limits.maxUsed) {
    return refuse(
      'OVER_LIMIT',
      `${formatBytes(request.bytes)} more than the ${formatBytes(usage.used)} in ${cache.root} would break --max-size ${formatBytes(limits.maxUsed)}`,
      `${more}, or raise --max-size`,
    )
  }
  const free = space.bytes - promised
  if (need > free) {
    const others = promised > 0 ? ` (${formatBytes(promised)} of it promised to other fetches)` : ''
    return refuse(
      'NO_SPACE',
      `${formatBytes(need)} are needed in ${cache.root}, ${formatBytes(space.bytes)} are free${others}`,
      `${more}, or free some space`,
    )
  }
  if (request.files > space.inodes - usage.outstanding.files) {
    return refuse(
      'NO_SPACE',
      `${request.files} files are needed in ${cache.root}, the filesystem can make ${space.inodes} more`,
      `${more}; packed datasets need far fewer files`,
    )
  }
  if (limits.minFree !== undefined && free - need < limits.minFree) {
    return refuse(
      'OVER_LIMIT',
      `${formatBytes(need)} more in ${cache.root} would leave ${formatBytes(free - need)} free, less than --min-free ${formatBytes(limits.minFree)}`,
      `${more}, or lower --min-free`,
    )
  }
  const own = usage.datasets.find((u) => u.dataset.id === dataset)
  return { reservation: await promise(cache, request, own) }
}

async function promise(
  cache: Cache,
  { dataset, bytes, files }: ReserveRequest,
  own: DatasetUsage | undefined,
): Promise<Reservation> {
  const base = { dataset, files: own?.files ?? 0, bytes: (own?.bytes ?? 0) - (own?.state ?? 0) }
  const links = own?.linked ?? []
  const state = await measureState(cache, dataset)
  await writeUsage(cache, { ...base, linked: links, state, settled: false })
  const id = randomBytes(8).toString('hex')
  const record: ReservationRecord = {
    format: 'longshore-reservation',
    version: 1,
    id,
    dataset,
    bytes,
    files,
    written: { bytes: 0, files: 0 },
  }
  const lock = await acquireLock(lockFolder(cache), reservationLock(id), { wait: true })
  await writeRecord(cache, stateFile(cache, 'reservations', id), record)
  let noted = Date.now()
  let noting: Promise<void> = Promise.resolve()
  let over = false
  const end = async (): Promise<void> => {
    if (over) return
    over = true
    await noting
    await removeRecord(cache, 'reservations', id)
    await lock?.release()
    await forgetLock(lockFolder(cache), reservationLock(id))
  }
  return {
    wrote(part) {
      record.written.bytes = Math.min(bytes, record.written.bytes + part.bytes)
      record.written.files = Math.min(files, record.written.files + part.files)
      if (over || Date.now() - noted < NOTE_MS) return
      noted = Date.now()
      // A note that can't be written only makes others wait for more space than there need be.
      noting = noting.then(() => updateReservation(cache, record)).catch(() => {})
    },
    async commit({ added, linked }) {
      // Both under the cache's lock: nobody counts the data twice, or not at all.
      await lockCache(cache, async () => {
        // Read again: versions it links to may have been evicted since, and their files handed over to it.
        const now = (await readUsage(cache, dataset)) ?? { ...base, linked: links }
        const grown = {
          files: now.files + added.files,
          bytes: now.bytes + added.bytes,
          linked: mergeLinks([...now.linked, ...linked]),
        }
        const { files, bytes, linked: kept } = await adoptOrphans(cache, grown)
        await writeUsage(cache, {
          ...{ dataset, files, bytes, linked: kept, settled: true },
          state: await measureState(cache, dataset),
        })
        await end()
      })
    },
    release: end,
  }
}

async function adoptOrphans<T extends Amount & { linked: LinkedAmount[] }>(
  cache: Cache,
  usage: T,
): Promise<T> {
  let mended = usage
  for (const { from } of usage.linked) {
    if (!(await readDataset(cache, from))) mended = adoptLinks(mended, from)
  }
  return mended
}

function mergeLinks(links: readonly LinkedAmount[]): LinkedAmount[] {
  const merged = new Map<string, LinkedAmount>()
  for (const { from, files, bytes } of links) {
    const known = merged.get(from) ?? { from, files: 0, bytes: 0 }
    merged.set(from, { from, files: known.files + files, bytes: known.bytes + bytes })
  }
  return [...merged.values()].filter((link) => link.files > 0)
}
