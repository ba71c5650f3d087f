import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { readHolds } from '../cache/leases.ts'
import { listReady } from '../cache/ready.ts'
import type { Cache } from '../cache/types.ts'
import { countUsage } from '../cache/usage.ts'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { isLocked } from '../fs/lock.ts'
import { freeSpace } from '../fs/space.ts'
import type { CacheOptions } from './cache-options.ts'
import type { CommandContext } from './context.ts'
import { openExisting } from './open-existing.ts'

export interface StatusOptions extends CacheOptions {
  /** Folders with a running or finished `sync`: its lag is shown. */
  syncDirs: string[]
}

export interface StatusReport {
  cacheDir: string
  /** bytes in use by longshore, and free on the filesystem */
  used: number
  free: number
  datasets: {
    id: string
    source: string
    path: string
    bytes: number
    files: number
    state: 'ready' | 'partial' | 'fetching'
    lastUsed: number
    leases: { id: string; owner: string; until: number; live: boolean }[]
    pins: string[]
  }[]
  sync: {
    dir: string
    destination: string
    running: boolean
    epoch: number
    committed: number
    pending: number
    lastCommit?: { name: string; at: number } | undefined
  }[]
}

/** `DIR/.longshore/sync-status.json`, as the sidecar leaves it after each scan. */
const count = z.number().int().nonnegative()
const syncStatusSchema = z.looseObject({
  destination: z.string(),
  epoch: count,
  committed: count,
  pending: count,
  lastCommit: z.looseObject({ name: z.string(), at: z.number() }).nullable(),
})

/** What is there and who holds it. Changes nothing. */
export async function status(options: StatusOptions, context: CommandContext): Promise<StatusReport> {
  const { root, cache } = await openExisting(options, context, { readOnly: true })
  const report: StatusReport = { cacheDir: root, used: 0, free: 0, datasets: [], sync: [] }
  if (cache) await addCache(report, cache, context.signal)
  for (const dir of options.syncDirs) report.sync.push(await readSync(resolve(dir)))
  return report
}

async function addCache(report: StatusReport, cache: Cache, signal: AbortSignal): Promise<void> {
  const usage = await countUsage(cache, { signal })
  const holds = await readHolds(cache)
  report.used = usage.used
  report.free = (await freeSpace(cache.root)).bytes
  for (const { dataset, bytes, files, linked, fetching } of usage.datasets) {
    const ready = (await listReady(cache, dataset.id)).length > 0
    const held = holds.get(dataset.id)
    report.datasets.push({
      id: dataset.id,
      source: dataset.source,
      path: dataset.path,
      bytes,
      files: linked.reduce((sum, link) => sum + link.files, files),
      state: fetching ? 'fetching' : ready ? 'ready' : 'partial',
      lastUsed: dataset.lastUsed,
      leases: (held?.leases ?? []).map(({ id, owner, until, live }) => ({ id, owner, until, live })),
      pins: (held?.pins ?? []).map(({ id }) => id),
    })
  }
  report.datasets.sort((a, b) => b.lastUsed - a.lastUsed || (a.path < b.path ? -1 : 1))
}

async function readSync(dir: string): Promise<StatusReport['sync'][number]> {
  const state = join(dir, '.longshore')
  const path = join(state, 'sync-status.json')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const missing = errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR'
    throw new LongshoreError(
      missing ? 'NOT_FOUND' : 'LOCAL_IO',
      missing ? `no sync has run in ${dir}` : `cannot read ${path}: ${errorCode(error)}`,
      { path, hint: 'give the DIR of `longshore sync DIR DST`', cause: error },
    )
  }
  const parsed = syncStatusSchema.safeParse(parseJson(text))
  if (!parsed.success) {
    throw new LongshoreError('LOCAL_IO', `${path} is garbled`, {
      path,
      hint: 'a running sync writes it anew within a minute',
    })
  }
  const { destination, epoch, committed, pending, lastCommit } = parsed.data
  const running = await isLocked(state, 'sync')
  return {
    dir,
    destination,
    running,
    epoch,
    committed,
    pending,
    ...(lastCommit && { lastCommit: { name: lastCommit.name, at: lastCommit.at } }),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
