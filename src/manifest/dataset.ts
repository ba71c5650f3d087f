import { z } from 'zod'

/**
 * `longshore.json`, the last object written to a packed dataset: what is listed here is there, whole.
 * Nothing in it depends on the clock, the machine or the tool's version. Written as canonical JSON (encodeManifest).
 */
export const DATASET_FORMAT = 'longshore-dataset'
export const DATASET_MANIFEST = 'longshore.json'

const crc = z.string().regex(/^[0-9a-f]{8}$/)
const sha = z.string().regex(/^[0-9a-f]{64}$/)
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
/** A name within the dataset: no folders upwards, no absolute paths, no control characters. */
const name = z
  .string()
  .min(1)
  .max(1024)
  .regex(/^[^\p{Cc}\\]+$/u)
  .refine((s) => s.split('/').every((p) => p !== '' && p !== '.' && p !== '..'), 'not a relative name')

export const shardSchema = z.strictObject({
  name,
  split: z.string().min(1),
  size: count,
  samples: count,
  /** CRC-32 of the whole shard. */
  crc32: crc,
  /** longshore's sample index: its name, size and CRC-32. */
  index: z.strictObject({ name, size: count, crc32: crc }),
  /** The DALI index, where the format has one. */
  dali: z.strictObject({ name, size: count, crc32: crc }).optional(),
})

export const datasetSchema = z.strictObject({
  format: z.literal(DATASET_FORMAT),
  version: z.literal(1),
  layout: z.enum(['tar', 'tfrecord', 'mds']),
  /** The options that decide the bytes, as pack resolved them. */
  options: z.record(z.string(), z.json()),
  source: z.strictObject({ url: z.string(), listing: sha, objects: count, bytes: count }),
  splits: z.array(
    z.strictObject({
      name: z.string().min(1),
      seed: z.number().int().nullable(),
      shards: count,
      samples: count,
      bytes: count,
    }),
  ),
  classes: z.array(z.string()).nullable(),
  shards: z.array(shardSchema),
  /** Source objects left out by request (--on-missing exclude|warn, --on-changed skip), with the reason. */
  left: z.array(z.strictObject({ key: z.string(), reason: z.string() })),
})

export type DatasetManifest = z.infer<typeof datasetSchema>
export type ShardEntry = z.infer<typeof shardSchema>
