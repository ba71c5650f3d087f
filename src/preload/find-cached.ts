import { join } from 'node:path'
import { type CachedDataset, folderOf, listDatasets, touchDataset } from '../cache/datasets.ts'
import { journalFolder } from '../cache/paths.ts'
import { listReady } from '../cache/ready.ts'
import type { Cache } from '../cache/types.ts'
import { crcBase64 } from '../checksum/crc32.ts'
import { keyToPath } from '../fs/key-path.ts'
import type { ObjectInfo, ObjectStore } from '../s3/store.ts'
import { readListing } from './listing.ts'
import { readLocalManifest } from './local-manifest.ts'
import { createSelector, parseSelection } from './select.ts'
import { hasSize } from './trust.ts'

/** A READY version that holds an object as it is now: the same size and ETag, or the shard's own CRC-32. */
export async function findCached(
  cache: Cache,
  { store, key, info }: { store: ObjectStore; key: string; info: ObjectInfo },
): Promise<{ path: string; check: string } | undefined> {
  for await (const dataset of listDatasets(cache)) {
    const { place, bucket, prefix } = dataset
    const folder = prefix === '' || prefix.endsWith('/')
    if (!folder || place !== store.place || bucket !== store.bucket || !key.startsWith(prefix)) continue
    const name = key.slice(prefix.length)
    const path = join(folderOf(cache, dataset), keyToPath(name))
    if (!hasSize(path, info.size) || !(await isReady(cache, dataset.id, name))) continue
    const check = await sameBytes(cache, dataset, { name, info })
    if (check === undefined) continue
    await touchDataset(cache, dataset.id)
    return { path, check }
  }
  return undefined
}

/** Shares of nodes are not looked into: whether a name is in one depends on all names before it. */
async function isReady(cache: Cache, id: string, name: string): Promise<boolean> {
  return (await listReady(cache, id)).some(({ selection: text }) => {
    const selection = parseSelection(text)
    return selection !== undefined && !selection.node && createSelector(selection).wants(name)
  })
}

async function sameBytes(
  cache: Cache,
  dataset: CachedDataset,
  { name, info }: { name: string; info: ObjectInfo },
): Promise<string | undefined> {
  if (dataset.kind === 'packed') {
    const packed = await readLocalManifest(folderOf(cache, dataset))
    const shard = packed?.manifest.shards.find((s) => s.name === name && s.size === info.size)
    // Shards never change under their names; where the store tells a checksum, it has to agree all the same.
    const told = info.checksums.crc32
    const agrees = shard && (told === undefined || told === crcBase64(Number.parseInt(shard.crc32, 16)))
    return agrees ? 'crc32' : undefined
  }
  const wanted = Buffer.from(name)
  try {
    for await (const file of readListing(join(journalFolder(cache, dataset.id), 'listing'))) {
      if (file.name === name) return file.size === info.size && file.etag === info.etag ? 'size' : undefined
      if (Buffer.from(file.name).compare(wanted) > 0) return undefined
    }
  } catch {
    // Evicted meanwhile: it is fetched.
  }
  return undefined
}
