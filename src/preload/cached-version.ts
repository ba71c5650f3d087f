import { join } from 'node:path'
import { type CachedDataset, folderOf } from '../cache/datasets.ts'
import { journalFolder } from '../cache/paths.ts'
import type { Cache } from '../cache/types.ts'
import { readLocalManifest } from './local-manifest.ts'
import { packedVersion, prefixVersion, type Version } from './version.ts'

/** A version as the cache itself describes it, without the source; undefined where its manifest is not there. */
export async function cachedVersion(cache: Cache, dataset: CachedDataset): Promise<Version | undefined> {
  if (dataset.kind === 'prefix') {
    return prefixVersion(dataset.digest, join(journalFolder(cache, dataset.id), 'listing'), dataset.source)
  }
  const packed = await readLocalManifest(folderOf(cache, dataset))
  return packed && packedVersion(packed)
}
