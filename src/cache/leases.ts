import { createHash, randomBytes } from 'node:crypto'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { acquireLock, forgetLock, isLocked, type Lock } from '../fs/lock.ts'
import { type Lease, leaseSchema, type Pin, pinSchema } from '../manifest/lease.ts'
import { leaseLockFolder } from './locks.ts'
import { stateFile } from './paths.ts'
import { readRecord, recordIds, removeRecord, writeRecord } from './records.ts'
import type { Cache } from './types.ts'

export interface LeaseRequest {
  dataset: string
  /** leaseOwner(env), or the user's --lease-owner */
  owner: string
  /** ms from now; default 7 days. Taken again by the same owner, the lease is renewed, never shortened. */
  ms?: number | undefined
  /** Holds while this process lives, and no longer. */
  live?: boolean | undefined
}

export interface HeldLease {
  id: string
  until: number
  live: boolean
  /** Ends it before its time. Idempotent. */
  release(): Promise<void>
  /** What it was taken for has failed: ends it, unless its owner had one here before, for something else. */
  giveBack(): Promise<void>
}

/** What keeps one dataset. */
export interface Holds {
  leases: Lease[]
  pins: Pin[]
  /** Files of leases or pins of this dataset that can't be read: they hold it too. */
  garbled: string[]
}

const WEEK_MS = 7 * 24 * 3600 * 1000

/**
 * Keeps the dataset from being evicted. No dataset lock needed: take the lease, THEN read READY; an evict that
 * withdraws READY looks for leases after that, so one of the two sees the other. LOCAL_IO where the state can't be
 * written: in a shared cache everyone may take leases, in the others only those who may write.
 */
export async function takeLease(cache: Cache, request: LeaseRequest): Promise<HeldLease> {
  const { dataset, owner } = request
  const live = request.live ?? false
  const taken = Date.now()
  const until = taken + (request.ms ?? WEEK_MS)
  let lock: Lock | undefined
  try {
    const own = live ? [] : await ownLeases(cache, dataset, owner)
    const longer = own.find((lease) => lease.until >= until)
    if (longer) return heldLease(cache, longer, { first: false })
    // Always a new id: a record that is never rewritten can be dropped at its end without a race.
    const id = holdId(dataset, randomBytes(16).toString('hex'))
    // The lock first: a live lease without it is an ended one.
    if (live) lock = await acquireLock(leaseLockFolder(cache), `lease-${id}`, { wait: true })
    const lease: Lease = { format: 'longshore-lease', version: 1, id, dataset, owner, taken, until, live }
    await writeRecord(cache, stateFile(cache, 'leases', id), leaseSchema.parse(lease))
    for (const shorter of own) await endLease(cache, shorter.id, undefined)
    return heldLease(cache, lease, { lock, first: own.length === 0 })
  } catch (error) {
    await lock?.release()
    throw unwritable(cache, error)
  }
}

function heldLease(
  cache: Cache,
  { id, until, live }: Lease,
  { lock, first }: { lock?: Lock | undefined; first: boolean },
): HeldLease {
  const release = (): Promise<void> => endLease(cache, id, lock)
  return { id, until, live, release, giveBack: async () => (first ? await release() : undefined) }
}

async function ownLeases(cache: Cache, dataset: string, owner: string): Promise<Lease[]> {
  const own: Lease[] = []
  for await (const [folder, id] of holdIds(cache)) {
    if (folder !== 'leases' || !id.startsWith(dataset)) continue
    const lease = await readRecord(cache, stateFile(cache, 'leases', id), leaseSchema)
    if (lease && lease.owner === owner && !lease.live) own.push(lease)
  }
  return own
}

/** Keeps it until release(). Pinned again by the same owner: the same pin. Then read READY, as with a lease. */
export async function pinDataset(cache: Cache, request: { dataset: string; owner: string }): Promise<Pin> {
  const id = holdId(request.dataset, request.owner)
  const pin: Pin = pinSchema.parse({
    format: 'longshore-pin',
    version: 1,
    id,
    dataset: request.dataset,
    owner: request.owner,
    taken: Date.now(),
  })
  try {
    await writeRecord(cache, stateFile(cache, 'pins', id), pin)
  } catch (error) {
    throw unwritable(cache, error)
  }
  return pin
}

/** Who a lease belongs to: the Slurm job, the Kubernetes pod's uid, the Batch job, else the user id. */
export function leaseOwner(env: Readonly<Record<string, string | undefined>>): string {
  // SLURM_JOB_ID is each array task's own.
  if (env.SLURM_JOB_ID) return `slurm-${env.SLURM_JOB_ID}`
  const pod = env.POD_UID ?? env.K8S_POD_UID ?? env.KUBERNETES_POD_UID
  if (pod) return `pod-${pod}`
  if (env.AWS_BATCH_JOB_ID) return `batch-${env.AWS_BATCH_JOB_ID}`
  return `uid-${process.getuid?.() ?? 0}`
}

/** What keeps each dataset now: leases that have not ended and pins, by dataset id. */
export async function readHolds(
  cache: Cache,
  options: { dataset?: string | undefined; now?: number | undefined } = {},
): Promise<Map<string, Holds>> {
  const now = options.now ?? Date.now()
  const found = new Map<string, Holds>()
  const of = (dataset: string): Holds => {
    const holds = found.get(dataset) ?? { leases: [], pins: [], garbled: [] }
    found.set(dataset, holds)
    return holds
  }
  for await (const [folder, id] of holdIds(cache)) {
    const dataset = id.slice(0, 16)
    if (options.dataset !== undefined && options.dataset !== dataset) continue
    const path = stateFile(cache, folder, id)
    if (folder === 'pins') {
      const pin = await readRecord(cache, path, pinSchema)
      if (pin) of(dataset).pins.push(pin)
      else of(dataset).garbled.push(path)
    } else {
      const lease = await readRecord(cache, path, leaseSchema)
      if (lease === undefined) of(dataset).garbled.push(path)
      else if (await holdsStill(cache, lease, now)) of(dataset).leases.push(lease)
    }
  }
  return found
}

/** In words, for people; undefined: nothing keeps it. */
export function whyHeld(holds: Holds | undefined): string | undefined {
  if (holds === undefined) return undefined
  if (holds.pins.length > 0) return `pinned by ${holds.pins.map((p) => p.owner).join(', ')}`
  if (holds.leases.length > 0) return `leased by ${holds.leases.map((l) => l.owner).join(', ')}`
  if (holds.garbled.length > 0) return `held by a garbled record: ${holds.garbled.join(', ')}`
  return undefined
}

/** Ends leases and pins: by their id, their owner, or their dataset (its id). Returns what was ended. */
export async function releaseHolds(
  cache: Cache,
  which: { id?: string; owner?: string; dataset?: string },
  options: { dryRun?: boolean } = {},
): Promise<{ id: string; kind: 'lease' | 'pin'; dataset: string }[]> {
  const ended: { id: string; kind: 'lease' | 'pin'; dataset: string }[] = []
  for await (const [folder, id] of holdIds(cache)) {
    const path = stateFile(cache, folder, id)
    const hold = await readRecord<Lease | Pin>(cache, path, folder === 'pins' ? pinSchema : leaseSchema)
    const dataset = id.slice(0, 16)
    const asked = id === which.id || dataset === which.dataset || (hold && hold.owner === which.owner)
    if (!asked) continue
    if (!options.dryRun) await removeRecord(cache, folder, id)
    ended.push({ id, kind: folder === 'pins' ? 'pin' : 'lease', dataset })
  }
  return ended
}

/** Removes the records of leases that ended: expired, or live ones whose process is gone. */
export async function dropEndedLeases(cache: Cache, now: number = Date.now()): Promise<void> {
  for await (const [folder, id] of holdIds(cache)) {
    if (folder === 'pins') continue
    const lease = await readRecord(cache, stateFile(cache, 'leases', id), leaseSchema)
    if (lease === undefined || (await holdsStill(cache, lease, now))) continue
    // In the sticky folder of a shared cache those of other users stay; they hold nothing.
    await endLease(cache, id, undefined).catch(ignoreRefusal)
  }
}

async function holdsStill(cache: Cache, lease: Lease, now: number): Promise<boolean> {
  return lease.live ? isLocked(leaseLockFolder(cache), `lease-${lease.id}`) : lease.until > now
}

async function endLease(cache: Cache, id: string, lock: Lock | undefined): Promise<void> {
  await removeRecord(cache, 'leases', id)
  await lock?.release()
  await forgetLock(leaseLockFolder(cache), `lease-${id}`)
}

async function* holdIds(cache: Cache): AsyncGenerator<['leases' | 'pins', string]> {
  for (const folder of ['leases', 'pins'] as const) {
    for await (const id of recordIds(cache, folder)) {
      if (/^[0-9a-f]{16}-[0-9a-f]{12}$/.test(id)) yield [folder, id]
    }
  }
}

/** The dataset's id is part of it, so that even a garbled record says what it holds. */
function holdId(dataset: string, owner: string): string {
  return `${dataset}-${createHash('sha256').update(owner).digest('hex').slice(0, 12)}`
}

function unwritable(cache: Cache, error: unknown): unknown {
  if (error instanceof LongshoreError || errorCode(error) === undefined) return error
  return new LongshoreError('LOCAL_IO', `cannot take a lease in ${cache.root}: ${errorCode(error)}`, {
    path: cache.root,
    hint: 'without a lease the data can be evicted while it is read',
    cause: error,
  })
}

function ignoreRefusal(error: unknown): void {
  if (!['EPERM', 'EACCES'].includes(errorCode(error) ?? '')) throw error
}
