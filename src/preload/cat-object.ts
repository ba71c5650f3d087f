import { createHash } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { lockDataset } from '../cache/locks.ts'
import { datasetFolder, datasetId } from '../cache/paths.ts'
import { LongshoreError } from '../errors.ts'
import { diskError } from '../fs/disk-error.ts'
import { errorCode } from '../fs/error-code.ts'
import { keyToPath } from '../fs/key-path.ts'
import { openStore } from '../s3/open.ts'
import type { ObjectInfo, ObjectStore } from '../s3/store.ts'
import { parseLocation, parseObject } from '../s3/uri.ts'
import { type FetchedVersion, fetchVersion } from './fetch-version.ts'
import { findCached } from './find-cached.ts'
import { createFollower, type Follower, ReaderGone } from './follow.ts'
import type { Identified, PreloadJob } from './job.ts'
import { shardOf } from './shard-of.ts'
import { countRequest, type Source } from './source.ts'
import { useReady } from './use-ready.ts'
import type { Version } from './version.ts'

export interface CatResult {
  /** Written to the output. */
  bytes: number
  /** Of the object, moved by this run. */
  fetched: number
  /** The check that its bytes passed when they were fetched. */
  check: string
}

/**
 * One object through the cache: fetched once per node, written in order while it arrives, and only what was
 * checked. What a READY version holds already is read from there.
 */
export async function catObject(text: string, output: Writable, job: PreloadJob): Promise<CatResult> {
  const { store, key } = await openObject(text, job)
  try {
    const info = await store.head(key, { signal: job.signal, onRequest: countRequest(job) })
    if (!info) {
      throw new LongshoreError('NOT_FOUND', `${store.url}/${key}: there is no such object`, {
        path: `${store.url}/${key}`,
        hint: 'cat takes one object; for a folder use preload',
      })
    }
    if (info.storageClass === 'GLACIER' || info.storageClass === 'DEEP_ARCHIVE') {
      throw new LongshoreError('ARCHIVED', `${store.url}/${key} is archived (${info.storageClass})`, {
        path: `${store.url}/${key}`,
        hint: 'restore and copy it to a class that can be read',
      })
    }
    const follower = createFollower(output, info.size, job.signal)
    try {
      return await serve({ store, key, info }, follower, job)
    } catch (error) {
      if (!(error instanceof ReaderGone)) throw diskError(error, job.cache.root)
      return { bytes: follower.written, fetched: 0, check: 'none' }
    } finally {
      follower.close()
    }
  } finally {
    await store.close()
  }
}

interface Wanted {
  store: ObjectStore
  key: string
  info: ObjectInfo
}

async function openObject(text: string, job: PreloadJob): Promise<{ store: ObjectStore; key: string }> {
  const options = { env: { ...job.env }, signal: job.signal }
  const location = parseLocation(text, { cwd: job.cwd })
  if (location.kind === 's3') {
    const { bucket, key } = parseObject(text)
    const { store } = await openStore({ kind: 's3', bucket, prefix: '' }, job.s3, options)
    return { store, key }
  }
  const { store } = await openStore({ kind: 'local', root: dirname(location.root) }, job.s3, options)
  return { store, key: basename(location.root) }
}

async function serve(wanted: Wanted, follower: Follower, job: PreloadJob): Promise<CatResult> {
  const { cache, signal, progress } = job
  const { store, key, info } = wanted
  const local = await findCached(cache, wanted)
  if (local && (await copied(local.path, follower))) {
    return { bytes: follower.written, fetched: 0, check: local.check }
  }
  const name = basename(key)
  const digest = createHash('sha256')
    .update(JSON.stringify(['object', name, info.size, info.etag]))
    .digest('hex')
  // Without a last '/': an object is no prefix, and never taken for a copy of one.
  const identity = { place: store.place, bucket: store.bucket, prefix: key, digest }
  const found: Identified = { ...job, identity }
  const final = join(datasetFolder(cache, identity), keyToPath(name))
  let use = await useReady(cache, datasetId(identity), found)
  let fetched: FetchedVersion | undefined
  const stop = new AbortController()
  let running: Promise<void> | undefined
  try {
    if (!use) {
      const lock = await lockDataset(cache, datasetId(identity), {
        wait: true,
        signal,
        onWait: () => progress.debug(`${store.url}/${key}: another process fetches it`),
      })
      try {
        use = await useReady(cache, datasetId(identity), found)
        if (!use) {
          running = follower.run().catch((error: unknown) => stop.abort(error))
          fetched = await fetchObject(wanted, follower, {
            ...found,
            signal: AbortSignal.any([signal, stop.signal]),
          })
        }
      } finally {
        // Before the rest is written: a slow reader must not keep others waiting.
        await lock?.release()
      }
    }
    follower.stop()
    await running
    stop.signal.throwIfAborted()
    await follower.finish(final)
    const check = Object.keys(fetched?.checks ?? use?.ready.checks ?? {})[0] ?? 'size'
    return { bytes: follower.written, fetched: fetched?.fetched.bytes ?? 0, check }
  } catch (error) {
    follower.stop()
    await running
    throw stop.signal.aborted ? stop.signal.reason : error
  } finally {
    await (use?.lease ?? fetched?.lease)?.release()
  }
}

/** false: evicted between the look and the opening. Once it is open, an evict takes its name, not its bytes. */
async function copied(path: string, follower: Follower): Promise<boolean> {
  try {
    await follower.finish(path)
    return true
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || follower.written > 0) throw error
    return false
  }
}

async function fetchObject(
  { store, key, info }: Wanted,
  follower: Follower,
  job: Identified,
): Promise<FetchedVersion> {
  const name = basename(key)
  const folder = key.slice(0, key.length - name.length)
  const source: Source = { store, prefix: folder, url: `${store.url}/${folder}` }
  const { size, etag } = info
  const shard = await shardOf(source, { name, size }, job)
  const entry = { name, path: keyToPath(name), size, etag, crc32: shard?.crc32 }
  const version: Version = {
    kind: 'prefix',
    digest: job.identity.digest,
    entries: () => [[entry]],
    stages: () => [[[entry]]],
    everything: () => [[entry]],
    blocks: async () => await shard?.blocks(),
  }
  return await fetchVersion(source, version, {
    ...job,
    recordAs: `${store.url}/${key}`,
    onRange: (_, temp, range) => follower.onRange(temp, range),
  })
}
