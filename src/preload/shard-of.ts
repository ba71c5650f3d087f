import { crc32 } from '../checksum/crc32.ts'
import { DATASET_MANIFEST, type ShardEntry } from '../manifest/dataset.ts'
import type { PreloadJob } from './job.ts'
import { MAX_MANIFEST, parsePacked, readBlocks } from './packed.ts'
import { countRequest, type Source } from './source.ts'

export interface ShardChecks {
  /** Of the whole object. */
  crc32: number
  /** Of each 8 MiB block; undefined where the index has none of that size. */
  blocks(): Promise<readonly number[] | undefined>
}

const SHARD = /\.(?:tar|tfrecord|mds)$/

/**
 * What the packed dataset around an object says about its bytes: an object that looks like a shard, beside a
 * `longshore.json` that lists it. undefined for any other object.
 */
export async function shardOf(
  source: Source,
  object: { name: string; size: number },
  job: PreloadJob,
): Promise<ShardChecks | undefined> {
  if (!SHARD.test(object.name)) return undefined
  const { store, prefix } = source
  const calls = { signal: job.signal, onRequest: countRequest(job) }
  const document = await store.getDocument(prefix + DATASET_MANIFEST, { ...calls, maxBytes: MAX_MANIFEST })
  const packed = document && parsePacked(document.bytes, source.url)
  const shard = packed?.manifest.shards.find((s) => s.name === object.name && s.size === object.size)
  if (!shard) return undefined
  return {
    crc32: Number.parseInt(shard.crc32, 16),
    blocks: () => blocksOfIndex(source, shard, job),
  }
}

async function blocksOfIndex(
  { store, prefix, url }: Source,
  shard: ShardEntry,
  job: PreloadJob,
): Promise<number[] | undefined> {
  const { name, size } = shard.index
  const calls = { signal: job.signal, onRequest: countRequest(job) }
  const index = await store.getDocument(prefix + name, { ...calls, maxBytes: Math.max(1, size) })
  // Without a good index the whole shard's CRC-32 still decides; blocks then can't be told apart.
  if (!index || crc32(index.bytes) !== Number.parseInt(shard.index.crc32, 16)) return undefined
  return await readBlocks(shard, [index.bytes], url + name)
}
