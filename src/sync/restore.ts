import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { acquireLock } from '../fs/lock.ts'
import { makePath } from '../fs/make-path.ts'
import { type CommitRecord, fileKey, isDataFile, SEQ_DIGITS, STATE_FOLDER } from '../manifest/checkpoint.ts'
import type { Progress } from '../progress.ts'
import { localError } from '../s3/local-path.ts'
import { type LogPlace, placeUrl } from './log.ts'
import { compareLocal, type IfExists, type RestoreDiff } from './restore-compare.ts'
import { fetchCheckpoint, isDamage } from './restore-fetch.ts'
import { findPrevious } from './restore-pick.ts'
import { planRestore, type RestorePlan } from './restore-plan.ts'
import { publishRestore } from './restore-publish.ts'
import { type KnownFile, saveKnown } from './upload-known.ts'

export interface RestoreJob {
  /** Absolute; made when it is not there. */
  dir: string
  ifExists: IfExists
  /** bytes for buffers */
  memory: number
  partSize?: number | undefined
  signal: AbortSignal
  progress: Progress
  /** Looks at what would be done, and stops before the first byte. */
  dryRun: boolean
}

export interface Restored {
  /** The folder, or for checkpoints of several files beside others the path they begin with. */
  path: string
  files: number
  bytes: number
  fetched: { files: number; bytes: number }
  kept: { files: number; bytes: number }
  checks: Record<string, number>
}

/**
 * Brings one commit into DIR, complete and checked, or leaves DIR as it was. Throws BAD_MANIFEST, DIFFERS,
 * NO_SPACE, and INTEGRITY when an object of the commit is missing or damaged, naming it and what to do.
 */
export async function restoreCheckpoint(
  place: LogPlace,
  record: CommitRecord,
  job: RestoreJob,
): Promise<Restored> {
  const plan = planRestore(record, placeUrl(place))
  const path = join(job.dir, record.name)
  if (job.dryRun) return report(path, plan, await compareIfThere(plan, job), { crc32: plan.files.length })
  const state = join(job.dir, STATE_FOLDER)
  try {
    await makePath(state)
    const lock = await acquireLock(state, 'restore', {
      wait: true,
      signal: job.signal,
      onWait: () => job.progress.warn(`another restore into ${job.dir} is running: waiting for it`),
    })
    try {
      const diff = await compareLocal(plan, job)
      const checks = await bring(place, record, { ...job, plan, diff, state })
      await noteKnown(place, record, job.dir)
      return report(path, plan, diff, checks)
    } finally {
      await lock?.release()
    }
  } catch (error) {
    if (job.signal.aborted) throw job.signal.reason
    throw error instanceof LongshoreError ? error : localError(error, job.dir)
  }
}

async function bring(
  place: LogPlace,
  record: CommitRecord,
  job: RestoreJob & { plan: RestorePlan; diff: RestoreDiff; state: string },
): Promise<Record<string, number>> {
  const { diff, state, progress, signal } = job
  // The same name for the same commit: what a killed restore fetched is found again.
  const mine = `restore-${String(record.seq).padStart(SEQ_DIGITS, '0')}-${record.nonce}`
  const folder = join(state, mine)
  await removeOthers(state, mine)
  const todo = diff.fetch.length + diff.links.length + diff.pointers.length
  let checks: Record<string, number> = {}
  if (todo > 0) {
    progress.phase('fetch')
    const [files, bytes] = [diff.fetch.length, sizeOf(diff.fetch)]
    progress.expect({ bytes, objects: files })
    place.engine.expect({ files, bytes })
    const totals = await fetchCheckpoint(diff.fetch, { ...job, place, folder }).catch(
      async (error: unknown) => {
        throw await explain(place, record, { error, signal })
      },
    )
    checks = totals.checks
    if (totals.kept.files > 0) checks = { ...checks, crc32: (checks.crc32 ?? 0) + totals.kept.files }
    await publishRestore(job.plan, diff, { dir: job.dir, folder, signal })
  }
  await rm(folder, { recursive: true, force: true })
  return diff.kept.length === 0 ? checks : { ...checks, crc32: (checks.crc32 ?? 0) + diff.kept.length }
}

/** Under the lock, every other restore folder is a dead one's. */
async function removeOthers(state: string, mine: string): Promise<void> {
  for (const name of await readdir(state)) {
    if (name.startsWith('restore-') && name !== mine)
      await rm(join(state, name), { recursive: true, force: true })
  }
}

async function explain(
  place: LogPlace,
  record: CommitRecord,
  about: { error: unknown; signal: AbortSignal },
): Promise<unknown> {
  const { error, signal } = about
  if (!isDamage(error) || signal.aborted) return error
  const { previous, retired } = await findPrevious(place, record.seq, { signal })
  const hint = previous
    ? `Take the checkpoint before it: --step ${previous.name}`
    : 'There is no checkpoint before it; look for an older version of the object in the bucket.'
  const what = retired ? 'was retired while it was restored' : 'is damaged'
  return new LongshoreError('INTEGRITY', `checkpoint ${record.name} ${what}: ${error.message}`, {
    path: error.path ?? placeUrl(place),
    hint: retired ? 'Run it again: a newer checkpoint took its place.' : hint,
    cause: error,
  })
}

/** A sidecar that starts on this folder need not upload again what came from the bucket. */
async function noteKnown(place: LogPlace, record: CommitRecord, dir: string): Promise<void> {
  const files: KnownFile[] = []
  for (const file of record.files) {
    const stat = await lstat(join(dir, file.path), { bigint: true })
    const local = { path: file.path, inode: String(stat.ino), mtimeNs: String(stat.mtimeNs) }
    if (isDataFile(file)) files.push({ ...local, size: file.size, crc32: file.crc32, key: fileKey(file) })
    else files.push({ ...local, size: 0, crc32: '00000000', key: '', symlink: file.symlink })
  }
  await saveKnown(place, { stateDir: join(dir, STATE_FOLDER), seq: record.seq, files })
}

async function compareIfThere(plan: RestorePlan, job: RestoreJob): Promise<RestoreDiff> {
  const there = await lstat(job.dir).catch(() => undefined)
  if (there) return compareLocal(plan, job)
  return { fetch: plan.files, kept: [], links: plan.links, pointers: plan.pointers }
}

function report(
  path: string,
  plan: RestorePlan,
  diff: RestoreDiff,
  checks: Record<string, number>,
): Restored {
  const files = plan.files.length + plan.links.length + plan.pointers.length
  const fetched = { files: diff.fetch.length, bytes: sizeOf(diff.fetch) }
  const kept = { files: diff.kept.length, bytes: sizeOf(diff.kept) }
  return { path, files, bytes: plan.bytes, fetched, kept, checks }
}

function sizeOf(files: readonly { size: number }[]): number {
  return files.reduce((sum, file) => sum + file.size, 0)
}
