import { createHash } from 'node:crypto'
import type { PackOptions } from '../commands/pack.ts'
import type { SortRecord } from '../fs/sort-run.ts'
import { canonicalJson } from '../manifest/canonical.ts'
import { LEFT_LIMIT } from '../manifest/dataset.ts'
import type { Finding, Findings } from './findings.ts'
import { decodeRecord } from './intake.ts'
import { createLineFile, type LineFile, leftPath } from './local-lines.ts'
import { seedOf } from './names.ts'
import type { CanonicalOptions } from './options.ts'
import type { LeftOut, PlanHead } from './plan-schema.ts'
import { createSampler, type Sample } from './samples.ts'
import { createShardLayout } from './shard-layout.ts'
import { createStreamDigest } from './stream-digest.ts'

const MIB = 1024 * 1024

export interface PlanOptions {
  pack: PackOptions
  canonical: CanonicalOptions
  sourceUrl: string
  /** Local tags change when files are copied: they go into the slices and the plan's digest, not the listing's. */
  localSource: boolean
  /** What the listing's objects take in shards: 'auto' divides it. Asked for when the input has ended. */
  tarBytes: () => number
  /** Slices and the list of what is left out are written here. */
  dir: string
  findings: Findings
  signal: AbortSignal
}

/**
 * From sorted records to shards: groups samples, checks them, gives every member its offset, writes a slice a
 * shard into `dir`. One pass, one sample in memory. Same records and options, same plan. Throws the findings'
 * error when something can't be packed and skipping was not asked for.
 */
export async function planShards(
  batches: AsyncIterable<readonly SortRecord[]>,
  options: PlanOptions,
): Promise<PlanHead> {
  const { pack, canonical, findings } = options
  const listing = createStreamDigest()
  // Of what the slices and the list of what is left out will hold beside it: other bytes, another place for them.
  const beside = createStreamDigest()
  const left = createLeftList(options.dir)
  let lacking = 0
  let layout: ReturnType<typeof createShardLayout> | undefined
  const dropped: LeftOut[] = []
  const drop = ({ key, reason, kind }: Finding, byRequest: boolean): void => {
    if (!byRequest) findings.add({ key, reason, kind })
    dropped.push({ key, reason })
  }
  const sampler = createSampler({ ...canonical, drop, onLacking: () => lacking++ })
  // Nothing is awaited where there is nothing to wait for: there are millions of records.
  const place = (sample: Sample | undefined): Promise<void> | undefined =>
    sample === undefined ? undefined : layout?.add(sample)
  const leave = async (): Promise<void> => {
    for (const one of dropped.splice(0)) await left.add(one)
  }
  const take = (record: SortRecord): Promise<void> | undefined => {
    const entry = decodeRecord(record)
    if (entry.kind === 'left') {
      listing.text(`${record.key}\n\n`)
      beside.text(`${record.value}\n`)
      const done = sampler.end()
      dropped.push({ key: entry.key, reason: entry.reason })
      return place(done)
    }
    if (options.localSource) beside.text(`${entry.etag}\n`)
    listing.text(`${record.key}\n${options.localSource ? entry.size : record.value}\n`)
    return place(sampler.add(entry))
  }
  for await (const batch of batches) {
    options.signal.throwIfAborted()
    // Only now has the whole input been seen: the sort yields nothing before.
    layout ??= createShardLayout({
      dir: options.dir,
      shardSize: pack.shardSize === 'auto' ? autoShardSize(options.tarBytes()) : pack.shardSize,
      maxSamples: pack.maxSamples,
      splitFolders: pack.split === 'dir',
    })
    for (const record of batch) {
      const placing = take(record)
      if (placing !== undefined) await placing
      if (dropped.length > 0) await leave()
    }
  }
  await place(sampler.end())
  await leave()
  const placed = await layout?.finish()
  const leftOut = await left.finish()
  if (findings.count > 0 && pack.onUnpackable !== 'skip') throw findings.error(pack.source)
  if (findings.count > 0 && sampler.aborted()) throw findings.error(pack.source)
  const digest = listing.hex()
  const exact = { listing: digest, beside: beside.hex() }
  const names = placed?.splits ?? []
  return {
    format: 'longshore-plan',
    version: 1,
    digest: createHash('sha256')
      .update(canonicalJson({ version: 1, options: canonical, url: options.sourceUrl, exact }))
      .digest('hex'),
    options: canonical,
    source: {
      url: options.sourceUrl,
      listing: digest,
      objects: placed?.objects ?? 0,
      bytes: placed?.bytes ?? 0,
    },
    shardSize: placed?.shardSize ?? 0,
    splits: names.map((name) => ({ name, seed: seedOf(name, pack.shuffle) })),
    shards: placed?.shards ?? [],
    left: leftOut,
    skipped: findings.count,
    lacking,
  }
}

/** 256 MiB; smaller, but not under 16 MiB, to reach 128 shards. */
export function autoShardSize(tarBytes: number): number {
  return Math.min(256 * MIB, Math.max(16 * MIB, Math.ceil(tarBytes / 128)))
}

function createLeftList(dir: string) {
  let count = 0
  let file: LineFile | undefined
  const first: LeftOut[] = []
  return {
    async add(one: LeftOut): Promise<void> {
      count++
      if (first.length < LEFT_LIMIT) first.push(one)
      file ??= await createLineFile(leftPath(dir))
      await file.write(`${JSON.stringify(one)}\n`)
    },
    async finish(): Promise<PlanHead['left']> {
      return { count, first, file: file === undefined ? null : await file.finish() }
    },
  }
}
