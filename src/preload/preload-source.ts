import type { HeldLease } from '../cache/leases.ts'
import { lockDataset } from '../cache/locks.ts'
import { datasetFolder, datasetId } from '../cache/paths.ts'
import { openScratch } from '../cache/scratch.ts'
import type { FetchTotals } from '../fetch/totals.ts'
import { diskError } from '../fs/disk-error.ts'
import { expectsWork } from './expects-work.ts'
import { fetchVersion } from './fetch-version.ts'
import type { Identified, PreloadJob } from './job.ts'
import { openSource, type Source } from './source.ts'
import { reportReady, useReady } from './use-ready.ts'
import { identify, type Version } from './version.ts'

export interface Preloaded extends FetchTotals {
  url: string
  path: string
  kind: 'packed' | 'prefix'
  digest: string
  files: number
  bytes: number
  lease?: HeldLease | undefined
}

/** Brings one source into the cache, or finds it there. It is leased when this returns. */
export async function preloadSource(text: string, job: PreloadJob): Promise<Preloaded> {
  job.progress.phase('list')
  // Its thread starts beside the SDK's load. Whoever needs it meets its error.
  const early = (await expectsWork(text, job)) ? await job.engine().catch(() => undefined) : undefined
  const source = await openSource(text, job)
  let scratch: Awaited<ReturnType<typeof openScratch>> | undefined
  try {
    const version = await identify(source, {
      ...job,
      // By now a bucket's region is known, and the threads can be told while the listing comes.
      onAnswer: () => early?.attach(source.store, { early: true }),
      onFound: (amount) => early?.expect(amount),
      scratch: async () => {
        scratch ??= await openScratch(job.cache)
        return scratch.path
      },
    })
    return await bring(source, version, job)
  } catch (error) {
    throw diskError(error, job.cache.root)
  } finally {
    await scratch?.close()
    await source.store.close()
  }
}

async function bring(source: Source, version: Version, job: PreloadJob): Promise<Preloaded> {
  const { cache, signal, progress } = job
  const { place, bucket } = source.store
  const identity = { place, bucket, prefix: source.prefix, digest: version.digest }
  const id = datasetId(identity)
  const found = await fromReady(source, version, { ...job, identity })
  if (found) return found
  const lock = await lockDataset(cache, id, {
    wait: true,
    signal,
    onWait: () => progress.warn('another process fetches this dataset: waiting for it', { path: source.url }),
  })
  try {
    const meanwhile = await fromReady(source, version, { ...job, identity })
    if (meanwhile) return meanwhile
    const fetched = await fetchVersion(source, version, { ...job, identity })
    return { ...describe(source, version, { ...job, identity }), ...fetched }
  } finally {
    await lock?.release()
  }
}

async function fromReady(source: Source, version: Version, job: Identified): Promise<Preloaded | undefined> {
  const use = await useReady(job.cache, datasetId(job.identity), job)
  if (!use) return undefined
  const report = await reportReady(use, job.selection, () => version)
  return { ...describe(source, version, job), ...report }
}

/** What the report says of a source, beside the counts. */
function describe(source: Source, version: Version, { cache, identity }: Identified) {
  const { kind, digest } = version
  return { url: source.url, path: datasetFolder(cache, identity), kind, digest }
}
