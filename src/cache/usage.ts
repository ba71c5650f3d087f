import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import type { Amount } from '../fs/amount.ts'
import { type CachedDataset, folderOf, listDatasets } from './datasets.ts'
import { isDatasetLocked, lockDataset } from './locks.ts'
import { measureTree } from './measure-tree.ts'
import { journalFolder, stagingFolder, stateFile, treeFolder } from './paths.ts'
import { readRecord, writeRecord } from './records.ts'
import { listReservations } from './reservations.ts'
import { trashBytes } from './trash.ts'
import type { Cache, LinkedAmount } from './types.ts'

/**
 * `.longshore/usage/<id>.json`: what a dataset takes, so that counting never walks a million files. `settled` is
 * false from the moment a fetch may write until it is committed; a fetch that died leaves it false, and the next
 * one to count looks at that one dataset's files. Hard links count once: with the version they were linked from,
 * and when that one is evicted, with every version that links to it (rather too much than too little).
 */
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const usageSchema = z.strictObject({
  format: z.literal('longshore-usage'),
  version: z.literal(1),
  dataset: z.string().regex(/^[0-9a-f]{16}$/),
  /** Files of its folder, wherever that is being made, that count here, and their bytes. */
  files: count,
  bytes: count,
  /** bytes beside its folder: journals, listings, temporary files */
  state: count,
  /** Files that count with another version. */
  linked: z.array(z.strictObject({ from: z.string(), files: count, bytes: count })),
  settled: z.boolean(),
})

export type Usage = z.infer<typeof usageSchema>

export interface DatasetUsage extends Amount {
  dataset: CachedDataset
  linked: LinkedAmount[]
  /** Of the bytes: beside its folder. */
  state: number
  /** Its lock is held: somebody fetches it, or evicts it. */
  fetching: boolean
}

export interface CacheUsage {
  /** bytes: data, journals, temporary files, trash that is still there, and what is promised to fetches */
  used: number
  datasets: DatasetUsage[]
  /** Of the promises: what is not on the disk yet. */
  outstanding: Amount
}

/**
 * Counts the cache. Walks only what has no settled count, and keeps what it found where it may write.
 * `own`: a dataset whose lock the caller holds.
 */
export async function countUsage(
  cache: Cache,
  options: { own?: string | undefined; signal?: AbortSignal | undefined } = {},
): Promise<CacheUsage> {
  const reservations = await listReservations(cache)
  const known: CachedDataset[] = []
  for await (const dataset of listDatasets(cache)) known.push(dataset)
  const usages = new Map<string, Usage>()
  for (const { id } of known) {
    const usage = await readUsage(cache, id)
    if (usage) usages.set(id, usage)
  }
  const result: CacheUsage = { used: 0, datasets: [], outstanding: { files: 0, bytes: 0 } }
  for (const dataset of known) {
    const promised = reservations.some((r) => r.dataset === dataset.id)
    const linkedFrom = [...usages.values()].some((u) => u.linked.some((l) => l.from === dataset.id))
    let usage = usages.get(dataset.id)
    // While a fetch has its promise, base and promise together bound what is there.
    if (!usage?.settled && !(usage && promised)) {
      usage = await measureDataset(cache, dataset, { ...options, linkedFrom })
    }
    if (!usage) continue
    const fetching = promised || (await isDatasetLocked(cache, dataset.id))
    const { files, linked, state } = usage
    const bytes = usage.bytes + state
    result.datasets.push({ dataset, files, bytes, linked, state, fetching })
    result.used += bytes
  }
  for (const { bytes, files, written } of reservations) {
    result.used += bytes
    result.outstanding.bytes += Math.max(0, bytes - written.bytes)
    result.outstanding.files += Math.max(0, files - written.files)
  }
  result.used += (await trashBytes(cache)) + (await strayBytes(cache, known, options.signal))
  return result
}

export async function readUsage(cache: Cache, id: string): Promise<Usage | undefined> {
  const usage = await readRecord(cache, stateFile(cache, 'usage', id), usageSchema)
  return usage?.dataset === id ? usage : undefined
}

export async function writeUsage(cache: Cache, usage: Omit<Usage, 'format' | 'version'>): Promise<void> {
  const record: Usage = { ...usage, format: 'longshore-usage', version: 1 }
  await writeRecord(cache, stateFile(cache, 'usage', usage.dataset), usageSchema.parse(record))
}

/** bytes of a dataset beside its folder: journals, listings and temporary files */
export async function measureState(
  cache: Cache,
  id: string,
  signal?: AbortSignal | undefined,
): Promise<number> {
  const journals = await measureTree(journalFolder(cache, id), { shared: 'whole', signal })
  const without = treeFolder(cache, id)
  const staging = await measureTree(stagingFolder(cache, id), { shared: 'whole', without, signal })
  return journals.bytes + staging.bytes
}

/** Looks at every file. The count is kept when nobody can be writing: under the dataset's lock. */
async function measureDataset(
  cache: Cache,
  dataset: CachedDataset,
  options: { own?: string | undefined; linkedFrom: boolean; signal?: AbortSignal | undefined },
): Promise<Usage> {
  const { id } = dataset
  const own = options.own === id
  const lock = own || cache.readOnly ? undefined : await lockDataset(cache, id, { wait: false })
  try {
    const shared = options.linkedFrom ? 'whole' : 'part'
    const data = await measureTree(folderOf(cache, dataset), { shared, signal: options.signal })
    const tree = await measureTree(treeFolder(cache, id), { shared, signal: options.signal })
    const state = await measureState(cache, id, options.signal)
    const usage: Usage = {
      format: 'longshore-usage',
      version: 1,
      dataset: id,
      files: data.files + tree.files,
      bytes: data.bytes + tree.bytes,
      state,
      linked: [],
      settled: true,
    }
    if (lock) await writeUsage(cache, usage)
    return usage
  } finally {
    await lock?.release()
  }
}

/** Temporary files of no recorded dataset. */
async function strayBytes(
  cache: Cache,
  known: readonly CachedDataset[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const ids = new Set(known.map((d) => d.id))
  let bytes = 0
  for (const folder of ['staging', 'journals']) {
    for (const name of await readdir(join(cache.state, folder)).catch(() => [])) {
      if (ids.has(name)) continue
      bytes += (await measureTree(join(cache.state, folder, name), { shared: 'whole', signal })).bytes
    }
  }
  return bytes
}
