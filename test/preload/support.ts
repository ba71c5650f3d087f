import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { crc32, crcHex } from '../../src/checksum/crc32.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import type { PreloadOptions } from '../../src/commands/preload.ts'
import { encodeIndexLine } from '../../src/formats/sample-index.ts'
import { canonicalJson } from '../../src/manifest/canonical.ts'
import type { DatasetManifest } from '../../src/manifest/dataset.ts'
import { SILENT } from '../../src/progress.ts'
import type { S3Settings } from '../../src/s3/settings.ts'
import { BLOCK_BYTES } from '../../src/transfer/types.ts'
import { LANE } from '../support/lanes.ts'

export const MIB = 1024 * 1024

/** Bytes that look random and are the same each time. */
export function noise(seed: string, length: number): Buffer {
  const block = createHash('sha512').update(seed).digest()
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at += block.length) {
    block.copy(bytes, at)
    if (length - at >= 4) bytes.writeUInt32LE(at, at)
  }
  return bytes
}

/** A packed dataset by hand: shards of given sizes with their indexes, and the manifest. */
export function packedObjects(
  sizes: readonly number[],
  options: { prefix?: string; seed?: string } = {},
): Record<string, Buffer> {
  const { prefix = 'packed/', seed = 's' } = options
  const objects: Record<string, Buffer> = {}
  const shards: DatasetManifest['shards'] = []
  for (const [i, size] of sizes.entries()) {
    const stem = `train-${String(i).padStart(6, '0')}`
    const bytes = noise(`${seed}${i}`, size)
    const blocks: string[] = []
    for (let at = 0; at < size; at += BLOCK_BYTES)
      blocks.push(crcHex(crc32(bytes.subarray(at, at + BLOCK_BYTES))))
    const header = {
      ...({ format: 'longshore-index', version: 1 } as const),
      ...{
        shard: `${stem}.tar`,
        size,
        crc32: crcHex(crc32(bytes)),
        samples: 0,
        blockSize: BLOCK_BYTES,
        blocks,
      },
    }
    const index = Buffer.from(encodeIndexLine(header))
    objects[`${prefix}${stem}.tar`] = bytes
    objects[`${prefix}${stem}.index.jsonl`] = index
    shards.push({
      ...{ name: `${stem}.tar`, split: 'train', size, samples: 0, crc32: header.crc32 },
      index: { name: `${stem}.index.jsonl`, size: index.length, crc32: crcHex(crc32(index)) },
    })
  }
  const bytes = sizes.reduce((a, b) => a + b, 0)
  const manifest: DatasetManifest = {
    ...{ format: 'longshore-dataset', version: 1, layout: 'tar', options: {}, classes: null, left: [] },
    source: { url: 's3://raw/x/', listing: '0'.repeat(64), objects: 0, bytes: 0 },
    splits: [{ name: 'train', seed: 0, shards: sizes.length, samples: 0, bytes }],
    shards,
  }
  objects[`${prefix}longshore.json`] = Buffer.from(`${canonicalJson(manifest)}\n`)
  return objects
}

export function contextFor(
  { settings, env }: { settings: S3Settings; env: Record<string, string> },
  more: Partial<CommandContext> = {},
): CommandContext {
  return {
    signal: new AbortController().signal,
    progress: SILENT,
    s3: settings,
    engine: { lane: LANE, concurrency: 16, memory: 64 * MIB },
    dryRun: false,
    env,
    ...more,
  }
}

export function preloadOptions(
  sources: string[],
  cacheDir: string,
  more: Partial<PreloadOptions> = {},
): PreloadOptions {
  return {
    ...{ sources, cacheDir, cacheMode: 'private', include: [], exclude: [], verify: 'checksum' },
    ...{ makeRoom: false, lease: 60_000, pin: false, offline: false, readOnly: false, check: false },
    ...more,
  }
}

/** Every file below a folder, by relative path, as the sha256 of its bytes. */
export function treeOf(root: string): Record<string, string> {
  const tree: Record<string, string> = {}
  for (const entry of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const path = join(root, entry)
    if (statSync(path).isFile()) tree[entry] = hashOf(readFileSync(path))
  }
  return tree
}

export function hashOf(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What treeOf should give for these objects. */
export function expectedTree(
  objects: Record<string, Uint8Array | string>,
  prefix: string,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(objects).map(([key, bytes]) => [key.slice(prefix.length), hashOf(bytes)]),
  )
}
