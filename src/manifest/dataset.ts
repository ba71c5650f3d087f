import * as z from 'zod'
import { LongshoreError } from '../errors.ts'
import { canonicalJson } from './canonical.ts'

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
  /** Source objects left out, with the reason: the first 1,000. */
  left: z.array(z.strictObject({ key: z.string(), reason: z.string() })),
  /** How many were left out in all; none: as many as `left` lists. */
  leftCount: count.optional(),
  /** JSON lines of all that was left out; there when `leftCount` is more than 0. */
  leftList: z.strictObject({ name, size: count, crc32: crc }).optional(),
})

export type DatasetManifest = z.infer<typeof datasetSchema>
export type ShardEntry = z.infer<typeof shardSchema>

/** The most objects that `left` names. */
export const LEFT_LIMIT = 1000

/** The manifest's bytes: the same value gives the same bytes everywhere, so their SHA-256 names the dataset. */
export function encodeManifest(manifest: DatasetManifest): Buffer {
  return Buffer.from(`${canonicalJson(datasetSchema.parse(manifest))}\n`)
}

/**
 * Reads a manifest that may come from anybody. BAD_MANIFEST (with `path`) when it is no longshore.json, when a
 * newer longshore wrote it, or when it contradicts itself.
 */
export function parseManifest(bytes: Uint8Array, path: string): DatasetManifest {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw bad('it is no JSON', path, cause)
  }
  const head = z.object({ format: z.literal(DATASET_FORMAT), version: z.number() }).safeParse(value)
  if (!head.success) throw bad('it is not a longshore dataset', path, head.error)
  if (head.data.version > 1) {
    throw new LongshoreError(
      'BAD_MANIFEST',
      `${path} has version ${head.data.version}, this longshore reads 1`,
      {
        path,
        hint: 'install a newer longshore',
      },
    )
  }
  const parsed = datasetSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw bad(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`, path, parsed.error)
  }
  const names = parsed.data.shards.flatMap((s) => [s.name, s.index.name, ...(s.dali ? [s.dali.name] : [])])
  if (new Set(names).size !== names.length) throw bad('it lists a name twice', path)
  return parsed.data
}

function bad(what: string, path: string, cause?: unknown): LongshoreError {
  return new LongshoreError('BAD_MANIFEST', `${path} can't be read as a dataset: ${what}`, { path, cause })
}
