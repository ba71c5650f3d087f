import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type DatasetRecord, folderOf, recordDataset, touchDataset } from '../../src/cache/datasets.ts'
import { openCache } from '../../src/cache/open.ts'
import { writeReady } from '../../src/cache/ready.ts'
import type { Cache, DatasetIdentity, LinkedAmount } from '../../src/cache/types.ts'
import { writeUsage } from '../../src/cache/usage.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import { SILENT } from '../../src/progress.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { LANE } from '../support/lanes.ts'

export const HOUR = 3_600_000

export function identity(name: string, version = name): DatasetIdentity {
  const digest = createHash('sha256').update(version).digest('hex')
  return { place: 'aws', bucket: 'data', prefix: `${name}/`, digest }
}

export async function makeCache(dir: string): Promise<Cache> {
  return openCache({ cacheDir: path.join(dir, 'cache'), mode: 'private', env: {}, create: true })
}

export interface Made {
  files?: number
  /** bytes a file */
  size?: number
  /** hours since its last use */
  idle?: number
  ready?: boolean
  settled?: boolean
  version?: string
  linked?: LinkedAmount[]
}

/** A dataset as preload leaves it: record, files, count, READY. */
export async function makeDataset(cache: Cache, name: string, made: Made = {}): Promise<DatasetRecord> {
  const { files = 4, size = 1000, idle = 1 } = made
  const dataset = await recordDataset(cache, {
    ...identity(name, made.version),
    source: `s3://data/${name}/`,
    kind: 'prefix',
  })
  const folder = folderOf(cache, dataset)
  mkdirSync(path.join(folder, 'sub'), { recursive: true })
  for (let i = 0; i < files; i++) {
    const file = path.join(folder, i % 2 ? 'sub' : '.', `f${i}`)
    if (!existsSync(file)) writeFileSync(file, Buffer.alloc(size, i), { mode: 0o400 })
  }
  if (made.settled !== false) {
    await writeUsage(cache, {
      dataset: dataset.id,
      files,
      bytes: files * size,
      linked: made.linked ?? [],
      state: 0,
      settled: true,
    })
  }
  if (made.ready !== false) {
    await writeReady(cache, dataset.id, 'all', { files, bytes: files * size, checks: { size: files } })
  }
  await touchDataset(cache, dataset.id, new Date(Date.now() - idle * HOUR))
  return dataset
}

/** Every file below a folder, with its size; the state folder left out. */
export function tree(dir: string): Record<string, number> {
  const found: Record<string, number> = {}
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
    const stat = statSync(path.join(dir, name))
    if (!name.startsWith('.longshore') && stat.isFile()) found[name] = stat.size
  }
  return found
}

export function context(more: Partial<CommandContext> = {}): CommandContext {
  return {
    signal: new AbortController().signal,
    progress: SILENT,
    s3: S3_DEFAULTS,
    engine: { lane: LANE, concurrency: 4, memory: 1 << 20 },
    dryRun: false,
    env: {},
    ...more,
  }
}

export function age(file: string, hours: number): void {
  const at = new Date(Date.now() - hours * HOUR)
  utimesSync(file, at, at)
}
