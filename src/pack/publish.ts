import { createHash } from 'node:crypto'
import { LongshoreError } from '../errors.ts'
import {
  DATASET_FORMAT,
  DATASET_MANIFEST,
  type DatasetManifest,
  encodeManifest,
  LEFT_LIMIT,
  parseManifest,
} from '../manifest/dataset.ts'
import { sizesAt } from './destination.ts'
import { type Desk, readList, readRecord, writeList } from './documents.ts'
import { eachOf } from './each-of.ts'
import { holdsOther } from './freeze.ts'
import { type LeftOut, type PlanHead, planKeys, resultSchema, type ShardResult } from './plan-schema.ts'
import { splitTotals } from './split-totals.ts'

/** Its name at DST. */
export const LEFT_LIST = '.longshore/left.jsonl'
const MAX_MANIFEST = 512 * 1024 * 1024

export interface Published {
  manifest: DatasetManifest
  sha256: string
}

/** The manifest at DST, if the dataset is finished. */
export async function findManifest(desk: Desk): Promise<Published | undefined> {
  const key = desk.prefix + DATASET_MANIFEST
  const { signal } = desk
  const found = await desk.engine.readDocument(desk.store, key, { signal, maxBytes: MAX_MANIFEST })
  if (found === undefined) return undefined
  const manifest = parseManifest(found.bytes, `${desk.store.url}/${key}`)
  return { manifest, sha256: sha256(found.bytes) }
}

/** Results of the plan's shards whose bytes are at DST under their names: by number, in no order. */
export async function finishedShards(desk: Desk, plan: PlanHead): Promise<Map<number, ShardResult>> {
  const keys = planKeys(desk.prefix)
  const numbers: number[] = []
  const prefix = keys.results(plan.digest)
  for await (const page of desk.store.listPages({ prefix, signal: desk.signal })) {
    for (const { key } of page.objects) {
      const [, number] = /^(\d{6,})\.json$/.exec(key.slice(prefix.length)) ?? []
      if (number !== undefined && Number(number) < plan.shards.length) numbers.push(Number(number))
    }
  }
  const finished = new Map<number, ShardResult>()
  if (numbers.length === 0) return finished
  const sizes = await sizesAt(desk, new Set(plan.shards.map(({ name }) => name)))
  await eachOf(numbers, 16, async (i) => {
    const result = await readRecord(desk, keys.result(plan.digest, i), resultSchema)
    // The result is written before the shard has its name, so only both together mean that it is finished.
    if (result && (result.shard === null || sizes.get(result.shard.name) === result.shard.size)) {
      finished.set(i, result)
    }
  })
  return finished
}

/** The same question about one shard. */
export async function isFinished(desk: Desk, plan: PlanHead, i: number): Promise<boolean> {
  const result = await readRecord(desk, planKeys(desk.prefix).result(plan.digest, i), resultSchema)
  if (result === undefined || result.shard === null) return result !== undefined
  const there = await desk.store.head(desk.prefix + result.shard.name, { signal: desk.signal })
  return there?.size === result.shard.size
}

/**
 * Writes the manifest, once every shard of the plan is finished: whoever sees the last one does it, and all who do
 * write the same bytes. undefined: other tasks have shards to do. `tidy` is called before the manifest is there.
 */
export async function publish(
  desk: Desk,
  plan: PlanHead,
  options: { destination: string; tidy: () => Promise<void> },
): Promise<Published | undefined> {
  const finished = await finishedShards(desk, plan)
  if (finished.size < plan.shards.length) return undefined
  await options.tidy()
  const results = [...finished].sort(([a], [b]) => a - b).map(([, result]) => result)
  const changed = results.flatMap((result) => result.left)
  const leftCount = plan.left.count + changed.length
  const leftList = leftCount === 0 ? undefined : await writeLeft(desk, plan, changed)
  const shards = results.flatMap(({ shard }) => (shard === null ? [] : [shard]))
  const manifest: DatasetManifest = {
    format: DATASET_FORMAT,
    version: 1,
    layout: 'tar',
    options: plan.options,
    source: plan.source,
    splits: splitTotals(plan.splits, shards),
    classes: null,
    shards,
    left: [...plan.left.first, ...changed].slice(0, LEFT_LIMIT),
    leftCount,
    leftList,
  }
  const bytes = encodeManifest(manifest)
  const key = desk.prefix + DATASET_MANIFEST
  const { signal } = desk
  const outcome = await desk.engine.writeDocument(desk.store, key, bytes, { signal, condition: 'absent' })
  if (outcome.status === 'exists') {
    const there = await findManifest(desk)
    if (there?.sha256 !== sha256(bytes)) throw holdsOther(options.destination, 'another dataset')
  }
  return { manifest, sha256: sha256(bytes) }
}

/** A finished dataset whose shards are gone is not "already packed". */
export async function checkWhole(desk: Desk, manifest: DatasetManifest): Promise<void> {
  const sizes = await sizesAt(desk, new Set(manifest.shards.map(({ name }) => name)))
  const broken = manifest.shards.find(({ name, size }) => sizes.get(name) !== size)
  if (broken === undefined) return
  const path = `${desk.store.url}/${desk.prefix}${broken.name}`
  throw new LongshoreError('INTEGRITY', `the manifest lists a shard that is not there as listed: ${path}`, {
    path,
    hint: 'pack into a new prefix',
  })
}

async function writeLeft(desk: Desk, plan: PlanHead, changed: readonly LeftOut[]) {
  async function* chunks() {
    if (plan.left.file) yield* readList(desk, planKeys(desk.prefix).left(plan.digest), plan.left.file)
    for (const one of changed) yield Buffer.from(`${JSON.stringify(one)}\n`)
  }
  return { name: LEFT_LIST, ...(await writeList(desk, desk.prefix + LEFT_LIST, chunks())) }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
