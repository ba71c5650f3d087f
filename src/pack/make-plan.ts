import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { PackOptions } from '../commands/pack.ts'
import { LongshoreError } from '../errors.ts'
import { readLines } from '../formats/sample-index.ts'
import { spillSort } from '../fs/spill-sort.ts'
import type { Progress } from '../progress.ts'
import type { Source } from './changed.ts'
import { createFilter } from './filters.ts'
import { createFindings } from './findings.ts'
import { type IntakeTotals, takeIn } from './intake.ts'
import { createLineFile } from './local-lines.ts'
import type { CanonicalOptions } from './options.ts'
import { planShards } from './plan.ts'
import type { PlanHead } from './plan-schema.ts'
import { headSource, listAsPlanned, listSource, readFileList, type SourceObject } from './source.ts'

export interface MakePlanOptions {
  pack: PackOptions
  canonical: CanonicalOptions
  source: Source
  sourceUrl: string
  /** Objects that are taken as they were listed once, whatever the source holds now. */
  asPlanned?: ReadonlyMap<string, SourceObject> | undefined
  /** Spilled runs, slices and the spooled file list go here. */
  dir: string
  /** bytes of sort records held in memory */
  sortMemory?: number | undefined
  progress: Progress
  signal: AbortSignal
}

/** Lists SRC, sorts, groups and lays it out. Nothing is written but below `dir`. */
export async function makePlan(options: MakePlanOptions): Promise<{ plan: PlanHead; pages: number }> {
  const { pack, source, dir, progress, signal } = options
  progress.phase('list')
  const findings = createFindings()
  const totals: IntakeTotals = { pages: 0, objects: 0, tarBytes: 0 }
  const pages =
    pack.filesFrom === undefined
      ? listSource(source.store, { prefix: source.prefix, signal })
      : headSource(spooled(dir), source.store, { prefix: source.prefix, signal })
  const records = takeIn(options.asPlanned ? listAsPlanned(pages, options.asPlanned) : pages, totals, {
    split: pack.split,
    name: pack.name,
    groupBy: pack.groupBy,
    shuffle: pack.shuffle,
    wanted: createFilter(pack),
    guardSplits: pack.split === undefined && pack.include.length === 0,
    source: pack.source,
    signal,
    onFinding: (finding) => findings.add(finding),
    onPage: (objects) => progress.done({ objects }),
  })
  const sorted = spillSort(records, { dir, memory: options.sortMemory, signal })
  const plan = await planShards(sorted, {
    pack,
    canonical: options.canonical,
    sourceUrl: options.sourceUrl,
    localSource: source.store.kind === 'local',
    tarBytes: () => totals.tarBytes,
    dir,
    findings,
    signal,
  })
  if (plan.shards.length > 0) return { plan, pages: totals.pages }
  const left = plan.left.count === 0 ? '' : `; ${plan.left.count} left out, first: ${plan.left.first[0]?.key}`
  throw new LongshoreError('NOT_FOUND', `there is nothing to pack in ${pack.source}${left}`, {
    path: pack.source,
    hint: 'check the prefix, --include, --exclude and --files-from',
  })
}

/** Copies --files-from, sorted, into `dir`: stdin can be read but once. Returns the SHA-256 of the sorted list. */
export async function spoolFileList(
  file: string,
  options: { dir: string; signal: AbortSignal },
): Promise<string> {
  const digest = createHash('sha256')
  const spool = await createLineFile(spoolPath(options.dir))
  try {
    for await (const key of readFileList(file, options)) {
      digest.update(`${key}\n`)
      await spool.write(`${key}\n`)
    }
  } finally {
    await spool.finish()
  }
  return digest.digest('hex')
}

function spooled(dir: string): AsyncGenerator<string> {
  return readLines(createReadStream(spoolPath(dir)), { maxBytes: 16 * 1024 })
}

const spoolPath = (dir: string): string => join(dir, 'files-from')
