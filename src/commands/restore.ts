import { resolve } from 'node:path'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { CommitRecord } from '../manifest/checkpoint.ts'
import { openStore } from '../s3/open.ts'
import type { ObjectStore } from '../s3/store.ts'
import { parseLocation } from '../s3/uri.ts'
import { type LogPlace, placeUrl } from '../sync/log.ts'
import { type Restored, restoreCheckpoint } from '../sync/restore.ts'
import { findPrevious, listCommits, pickNewest, pickStep } from '../sync/restore-pick.ts'
import { openEngine } from '../transfer/engine.ts'
import type { CommandContext, Estimate } from './context.ts'

export interface RestoreOptions {
  source: string
  dir: string
  step: 'latest' | number | string
  ifExists: 'skip' | 'fail' | 'replace'
  allowNone: boolean
  /** Lists the committed checkpoints, newest first; restores nothing. */
  list: boolean
}

export interface RestoreReport {
  /** Absolute local path of the checkpoint; undefined with --allow-none and nothing to restore, and with --list. */
  path?: string | undefined
  checkpoint?: { name: string; step: number | null; epoch: number; ordinal: number; seq: number } | undefined
  files: number
  bytes: number
  fetched: { files: number; bytes: number }
  kept: { files: number; bytes: number }
  checks: Record<string, number>
  listed: {
    name: string
    step: number | null
    epoch: number
    ordinal: number
    seq: number
    files: number
    bytes: number
    committed: string
  }[]
  seconds: number
  estimate?: Estimate | undefined
  exit: 0 | 3
}

/** Times a run may retire the newest checkpoint while it is being restored. */
const MOVED = 3

/** Brings the newest committed checkpoint (or a named one) into DIR: complete and checked, or not at all. */
export async function restore(options: RestoreOptions, context: CommandContext): Promise<RestoreReport> {
  const { signal, progress } = context
  const location = parseLocation(options.source, { cwd: process.cwd() })
  const onRetry = (reason: string) => progress.retry(reason)
  const early = !options.list && !context.dryRun
  const engine = openEngine({ ...context.engine, signal, onRetry, early })
  const started = performance.now()
  let store: ObjectStore | undefined
  try {
    const opened = await openStore(location, context.s3, { env: context.env, signal, onRetry })
    store = opened.store
    const place: LogPlace = { engine, store, prefix: opened.prefix }
    progress.phase('list')
    const report = options.list
      ? await list(place, options, context)
      : await bringNewest(place, options, context)
    return { ...report, seconds: (performance.now() - started) / 1000 }
  } finally {
    await engine.close()
    await store?.close()
  }
}

async function bringNewest(
  place: LogPlace,
  options: RestoreOptions,
  context: CommandContext,
): Promise<RestoreReport> {
  for (let tries = 1; ; tries++) {
    const record =
      options.step === 'latest'
        ? await pickNewest(place, context)
        : await pickStep(place, options.step, context)
    if (record === undefined) return nothing(place, options)
    try {
      return reportOf(record, await bring(place, record, { options, context }), context)
    } catch (error) {
      const moved = options.step === 'latest' && tries < MOVED && isLongshoreError(error, 'INTEGRITY')
      if (!moved || !(await findPrevious(place, record.seq, context)).retired) throw error
    }
  }
}

function bring(
  place: LogPlace,
  record: CommitRecord,
  about: { options: RestoreOptions; context: CommandContext },
): Promise<Restored> {
  const { options, context } = about
  return restoreCheckpoint(place, record, {
    dir: resolve(options.dir),
    ifExists: options.ifExists,
    memory: context.engine.memory,
    partSize: context.partSize,
    signal: context.signal,
    progress: context.progress,
    dryRun: context.dryRun,
  })
}

function reportOf(record: CommitRecord, restored: Restored, context: CommandContext): RestoreReport {
  const { name, step, epoch, ordinal, seq } = record
  const report: RestoreReport = {
    ...restored,
    checkpoint: { name, step, epoch, ordinal, seq },
    listed: [],
    seconds: 0,
    exit: 0,
  }
  if (!context.dryRun) return report
  const { files, bytes } = restored.fetched
  report.estimate = { list: 1, get: files, put: 0, bytes, disk: bytes }
  return report
}

async function list(
  place: LogPlace,
  options: RestoreOptions,
  context: CommandContext,
): Promise<RestoreReport> {
  const heads = await listCommits(place, context)
  if (heads.length === 0) return nothing(place, options)
  return {
    ...blank(),
    listed: heads.map(({ name, step, epoch, ordinal, seq, files, bytes, at }) => {
      return { name, step, epoch, ordinal, seq, files, bytes, committed: at }
    }),
  }
}

function nothing(place: LogPlace, options: RestoreOptions): RestoreReport {
  if (options.allowNone) return blank()
  throw new LongshoreError('NOTHING_TO_RESTORE', `${placeUrl(place)} has no committed checkpoint`, {
    path: placeUrl(place),
    hint: 'is it the folder that sync wrote to? On a first attempt, --allow-none makes this exit 0.',
  })
}

function blank(): RestoreReport {
  const none = { files: 0, bytes: 0 }
  return { ...none, fetched: none, kept: none, checks: {}, listed: [], seconds: 0, exit: 0 }
}
