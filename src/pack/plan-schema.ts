import * as z from 'zod'
import { shardSchema } from '../manifest/dataset.ts'

/**
 * The plan of a pack, below `DST/.longshore/plan/`: `<digest>/slice-000000.jsonl` (a shard's samples with their
 * offsets, one IndexedSample a line), `<digest>/head.json` after all slices, `current.json`, which freezes one
 * plan for this DST (If-None-Match), and `<digest>/result-000000.json` once a shard's bytes are known. Below
 * `<digest>/uploads/`, until the dataset is whole: `000000-<layout>.json` says which multipart upload takes that
 * shard, and `000000-<layout>-<upload>-00001.json` the sums of a part where the store can't tell them.
 */
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const crc = z.string().regex(/^[0-9a-f]{8}$/)
const sha = z.string().regex(/^[0-9a-f]{64}$/)
const file = z.strictObject({ size: count, crc32: crc })
const left = z.strictObject({ key: z.string(), reason: z.string() })

export const currentSchema = z.strictObject({
  format: z.literal('longshore-plan-current'),
  version: z.literal(1),
  digest: sha,
})

export const plannedShardSchema = z.strictObject({
  name: z.string().min(1),
  split: z.string().min(1),
  size: count,
  samples: count,
  objects: count,
  /** Of the bodies. */
  bytes: count,
  slice: file,
})

export const headSchema = z.strictObject({
  format: z.literal('longshore-plan'),
  version: z.literal(1),
  digest: sha,
  options: z.record(z.string(), z.json()),
  source: z.strictObject({ url: z.string(), listing: sha, objects: count, bytes: count }),
  /** bytes; what --shard-size came to */
  shardSize: count,
  splits: z.array(z.strictObject({ name: z.string().min(1), seed: z.number().int().nullable() })),
  shards: z.array(plannedShardSchema),
  /** What is left out before any byte moves; `first` names at most 1,000. */
  left: z.strictObject({ count, file: file.nullable(), first: z.array(left) }),
  /** What --on-unpackable skip left out, of these; a run that is not complete exits with 3. */
  skipped: count,
  /** Samples kept though they lack an extension (--on-missing warn). */
  lacking: count,
})

export const resultSchema = z.strictObject({
  format: z.literal('longshore-shard'),
  version: z.literal(1),
  /** null: every sample of it had changed, so there is no such shard. */
  shard: shardSchema.nullable(),
  objects: count,
  bytes: count,
  /** Left out since the plan was frozen (--on-changed skip). */
  left: z.array(left),
})

export const uploadSchema = z.strictObject({
  format: z.literal('longshore-upload'),
  version: z.literal(1),
  uploadId: z.string().min(1),
})

export const partSumsSchema = z.strictObject({
  format: z.literal('longshore-part'),
  version: z.literal(1),
  etag: z.string().min(1),
  size: count,
  /** CRC-32 of each block */
  blocks: z.array(crc),
})

export type PlanHead = z.infer<typeof headSchema>
export type PlannedShard = z.infer<typeof plannedShardSchema>
export type ShardResult = z.infer<typeof resultSchema>
export type LeftOut = z.infer<typeof left>

export function planKeys(prefix: string) {
  const base = `${prefix}.longshore/plan/`
  const number = (i: number): string => String(i).padStart(6, '0')
  return {
    base,
    current: `${base}current.json`,
    head: (digest: string) => `${base}${digest}/head.json`,
    left: (digest: string) => `${base}${digest}/left.jsonl`,
    slice: (digest: string, i: number) => `${base}${digest}/slice-${number(i)}.jsonl`,
    results: (digest: string) => `${base}${digest}/result-`,
    result: (digest: string, i: number) => `${base}${digest}/result-${number(i)}.json`,
    uploads: (digest: string) => `${base}${digest}/uploads/`,
    upload: (digest: string, i: number, layout: string) =>
      `${base}${digest}/uploads/${number(i)}-${layout}.json`,
  }
}
