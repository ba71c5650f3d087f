import { lstat, open, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { errorCode } from '../fs/error-code.ts'
import { datasetId, datasetPath, stateFile } from './paths.ts'
import { eachRecord, readRecord, writeRecord } from './records.ts'
import type { Cache, DatasetIdentity } from './types.ts'

/** `.longshore/datasets/<id>.json`: written before the first byte of the dataset, removed after its last. */
const recordSchema = z
  .strictObject({
    format: z.literal('longshore-cached'),
    version: z.literal(1),
    id: z.string().regex(/^[0-9a-f]{16}$/),
    /** The source as the user means it: `s3://bucket/prefix/` or a local folder. */
    source: z.string().min(1),
    kind: z.enum(['packed', 'prefix']),
    place: z.string().min(1),
    bucket: z.string().min(1),
    prefix: z.string(),
    digest: z.string().regex(/^[0-9a-f]{64}$/),
    /** Its folder, relative to the cache. */
    path: z.string().min(1),
    /** ms since the epoch */
    created: z.number().int().nonnegative(),
  })
  .refine((r) => r.id === datasetId(r) && r.path === datasetPath(r), 'id or path is not that of its identity')

export type DatasetRecord = z.infer<typeof recordSchema>

/** A record and when the dataset was last used, ms since the epoch. */
export interface CachedDataset extends DatasetRecord {
  lastUsed: number
}

export interface NewDataset extends DatasetIdentity {
  source: string
  kind: 'packed' | 'prefix'
}

/** Makes the record, or finds it. Call under the dataset's lock, before anything of it is written. */
export async function recordDataset(cache: Cache, dataset: NewDataset): Promise<DatasetRecord> {
  const id = datasetId(dataset)
  const known = await readRecord(cache, stateFile(cache, 'datasets', id), recordSchema)
  if (known) return known
  const { source, kind, place, bucket, prefix, digest } = dataset
  const record: DatasetRecord = recordSchema.parse({
    format: 'longshore-cached',
    version: 1,
    id,
    source,
    kind,
    place,
    bucket,
    prefix,
    digest,
    path: datasetPath(dataset),
    created: Date.now(),
  })
  await writeRecord(cache, stateFile(cache, 'datasets', id), record)
  return record
}

export async function readDataset(cache: Cache, id: string): Promise<CachedDataset | undefined> {
  const record = await readRecord(cache, stateFile(cache, 'datasets', id), recordSchema)
  return record && withLastUse(cache, record)
}

/** Every dataset that has a readable record, in no order. `source`: only versions of that one. */
export async function* listDatasets(
  cache: Cache,
  options: { source?: string | undefined } = {},
): AsyncGenerator<CachedDataset> {
  for await (const record of eachRecord(cache, 'datasets', recordSchema)) {
    if (options.source !== undefined && record.source !== options.source) continue
    const dataset = await withLastUse(cache, record)
    if (dataset) yield dataset
  }
}

/** Notes a use. Cheap. In a cache that may not be written silently nothing: a lease keeps it then. */
export async function touchDataset(cache: Cache, id: string, at: Date = new Date()): Promise<void> {
  const path = stateFile(cache, 'datasets', id)
  try {
    await utimes(path, at, at)
  } catch (error) {
    if (errorCode(error) === 'EPERM') return touchAsOther(path)
    if (!['ENOENT', 'EACCES', 'EROFS'].includes(errorCode(error) ?? '')) throw error
  }
}

/** Only the owner may set times; others of the group may write, which sets them to now. */
async function touchAsOther(path: string): Promise<void> {
  try {
    const file = await open(path, 'r+')
    try {
      // Its first byte again: the record is the same at every moment.
      await file.write('{', 0)
    } finally {
      await file.close()
    }
  } catch (error) {
    if (!['ENOENT', 'EACCES', 'EROFS', 'EPERM'].includes(errorCode(error) ?? '')) throw error
  }
}

/** Absolute path of a recorded dataset's folder. */
export function folderOf(cache: Cache, dataset: DatasetRecord): string {
  return join(cache.root, dataset.path)
}

async function withLastUse(cache: Cache, record: DatasetRecord): Promise<CachedDataset | undefined> {
  try {
    const { mtimeMs } = await lstat(stateFile(cache, 'datasets', record.id))
    return { ...record, lastUsed: Math.trunc(mtimeMs) }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
