import { type CachedDataset, folderOf, listDatasets } from '../cache/datasets.ts'
import { listReady } from '../cache/ready.ts'
import { LongshoreError } from '../errors.ts'
import { cachedVersion } from './cached-version.ts'
import type { PreloadJob } from './job.ts'
import type { Preloaded } from './preload-source.ts'
import { covers } from './select.ts'
import { openSource, type Source } from './source.ts'
import { reportReady, useReady } from './use-ready.ts'

/**
 * The newest READY version of a source's selection, without a single request. OFFLINE_MISSING when there is none:
 * whether the source has changed since is not asked.
 */
export async function preloadOffline(text: string, job: PreloadJob): Promise<Preloaded> {
  const source = await openSource(text, job)
  try {
    const candidates = await readyVersions(source, job)
    for (const { dataset } of candidates) {
      const use = await useReady(job.cache, dataset.id, job)
      if (!use) continue
      const report = await reportReady(use, job.selection, () => cachedVersion(job.cache, dataset))
      const { kind, digest } = dataset
      const path = folderOf(job.cache, dataset)
      return { url: source.url, path, kind, digest, ...report }
    }
    throw new LongshoreError('OFFLINE_MISSING', `${source.url}: no complete copy in ${job.cache.root}`, {
      path: source.url,
      hint: 'run preload once with a network, with the same --include, --exclude and --node',
    })
  } finally {
    await source.store.close()
  }
}

/** Versions of a source that are READY for the selection, newest first. */
async function readyVersions(
  source: Source,
  { cache, selection }: PreloadJob,
): Promise<{ dataset: CachedDataset; completed: number }[]> {
  const { place, bucket } = source.store
  const found: { dataset: CachedDataset; completed: number }[] = []
  for await (const dataset of listDatasets(cache)) {
    if (dataset.place !== place || dataset.bucket !== bucket || dataset.prefix !== source.prefix) continue
    const ready = (await listReady(cache, dataset.id)).filter((r) => covers(r.selection, selection))
    if (ready.length > 0) found.push({ dataset, completed: Math.max(...ready.map((r) => r.completed)) })
  }
  return found.sort((a, b) => b.completed - a.completed)
}
