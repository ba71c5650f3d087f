import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { crc32Combine, crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import type { FileEntry } from '../fetch/entry.ts'
import { readSampleIndex } from '../formats/sample-index.ts'
import { keyToPath } from '../fs/key-path.ts'
import {
  DATASET_FORMAT,
  DATASET_MANIFEST,
  type DatasetManifest,
  parseManifest,
  type ShardEntry,
} from '../manifest/dataset.ts'
import { BLOCK_BYTES } from '../transfer/types.ts'
import { createConflictCheck } from './conflicts.ts'
import { createSelector, type Selection } from './select.ts'

/** bytes; hundreds of thousands of shards fit */
export const MAX_MANIFEST = 256 * 1024 * 1024

export interface PackedDataset {
  digest: string
  bytes: Buffer
  manifest: DatasetManifest
}

/**
 * Reads the bytes of `longshore.json`. undefined: some other tool's file of that name, so the prefix is a plain
 * one; BAD_MANIFEST: it says it is longshore's and is not as written.
 */
export function parsePacked(bytes: Buffer, url: string): PackedDataset | undefined {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    if (!bytes.includes(DATASET_FORMAT)) return undefined
    throw bad(url, 'it is no JSON', cause)
  }
  if (typeof value !== 'object' || value === null || !('format' in value)) return undefined
  if (value.format !== DATASET_FORMAT) return undefined
  const manifest = parseManifest(bytes, `${url}${DATASET_MANIFEST}`)
  const names = [...indexEntries(manifest.shards, manifest), ...shardEntries(manifest.shards)].map(
    (f) => f.name,
  )
  if (names.includes(DATASET_MANIFEST)) throw bad(url, `a shard is named ${DATASET_MANIFEST}`)
  const check = createConflictCheck(url)
  for (const name of names.map((n) => Buffer.from(n)).sort(Buffer.compare)) check(name.toString())
  return { digest: createHash('sha256').update(bytes).digest('hex'), bytes, manifest }
}

/**
 * The selected shards, sorted by split and name and dealt to the nodes by whole shards. Splits are dealt one
 * after the other in the same round, so no node has more than one shard more than another, overall or in a split.
 */
export function selectShards(manifest: DatasetManifest, selection: Selection): ShardEntry[] {
  const { wants, deals } = createSelector(selection)
  const sortKey = (shard: ShardEntry): Buffer => Buffer.from(`${shard.split}\0${shard.name}`)
  return manifest.shards
    .filter((shard) => wants(shard.name))
    .map((shard) => ({ shard, key: sortKey(shard) }))
    .sort((a, b) => a.key.compare(b.key))
    .filter((_, index) => deals(index))
    .map(({ shard }) => shard)
}

/**
 * What comes before the shards: their indexes, which hold the CRCs of their blocks, and the list of what pack
 * left out.
 */
export function indexEntries(
  shards: readonly ShardEntry[],
  { leftList }: Pick<DatasetManifest, 'leftList'>,
): FileEntry[] {
  const indexes = shards.flatMap(({ index, dali }) => (dali ? [index, dali] : [index]))
  return (leftList ? [leftList, ...indexes] : indexes).map(toEntry)
}

export function shardEntries(shards: readonly ShardEntry[]): FileEntry[] {
  return shards.map(toEntry)
}

function toEntry({ name, size, crc32 }: { name: string; size: number; crc32: string }): FileEntry {
  return { name, path: keyToPath(name), size, etag: '', crc32: Number.parseInt(crc32, 16) }
}

/**
 * CRC-32 of each 8 MiB block of a shard, from its index in the version's folder (checked when it was fetched).
 * undefined where the index keeps blocks of another size: then the whole shard's CRC has to do.
 */
export async function shardBlocks(shard: ShardEntry, root: string): Promise<number[] | undefined> {
  const path = join(root, keyToPath(shard.index.name))
  const stream = createReadStream(path, { highWaterMark: 1024 * 1024 })
  try {
    return await readBlocks(shard, stream, path)
  } finally {
    stream.destroy()
  }
}

/** The same from the bytes of the index, wherever they are. BAD_MANIFEST when they don't make up the shard's CRC-32. */
export async function readBlocks(
  shard: ShardEntry,
  index: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  path: string,
): Promise<number[] | undefined> {
  const { header, samples } = await readSampleIndex(index, { path })
  await samples.return(undefined)
  if (header.blockSize !== BLOCK_BYTES) return undefined
  const blocks = header.blocks.map((hex) => Number.parseInt(hex, 16))
  let crc = 0
  for (const [i, block] of blocks.entries()) {
    crc = crc32Combine(crc, block, Math.min(BLOCK_BYTES, header.size - i * BLOCK_BYTES))
  }
  if (header.size !== shard.size || crcHex(crc) !== shard.crc32) {
    throw new LongshoreError('BAD_MANIFEST', `${path}: its blocks are not those of ${shard.name}`, {
      path,
      hint: 'the dataset was not packed as one: pack it anew under another prefix',
    })
  }
  return blocks
}

function bad(url: string, why: string, cause?: unknown): LongshoreError {
  return new LongshoreError(
    'BAD_MANIFEST',
    `${url}${DATASET_MANIFEST}: not a manifest longshore wrote: ${why}`,
    {
      path: `${url}${DATASET_MANIFEST}`,
      cause,
    },
  )
}
