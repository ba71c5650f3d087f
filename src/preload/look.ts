import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { datasetFolder, datasetId, journalFolder, stagingFolder, treeFolder } from '../cache/paths.ts'
import { listReady } from '../cache/ready.ts'
import type { Cache } from '../cache/types.ts'
import { bootId } from '../fs/boot-id.ts'
import type { PreloadJob } from './job.ts'
import { findOlder } from './older.ts'
import { type Scan, scanVersion } from './scan.ts'
import { covers } from './select.ts'
import { openSource } from './source.ts'
import { identify } from './version.ts'

/** What a preload would find, without a write to the cache. */
export interface Look {
  url: string
  /** The dataset's id. */
  id: string
  /** Where it is, or would be; relative to no cache when there is none yet. */
  path: string
  kind: 'packed' | 'prefix'
  digest: string
  ready: boolean
  scan: Scan
}

/**
 * Asks the source what it holds and the cache what of it is there: for --check, --dry-run and a cache that can't
 * be written. `cache` undefined: there is none, so nothing is there.
 */
export async function lookAt(
  text: string,
  job: Omit<PreloadJob, 'cache' | 'engine'> & { cache: Cache | undefined; root: string },
): Promise<Look> {
  const { cache, selection, part, signal } = job
  job.progress.phase('list')
  const source = await openSource(text, job)
  // Not in the cache: it may be read-only, and a question leaves no trace.
  const scratch = await mkdtemp(join(tmpdir(), 'longshore-'))
  try {
    const version = await identify(source, { ...job, scratch: async () => scratch })
    const { place, bucket } = source.store
    const identity = { place, bucket, prefix: source.prefix, digest: version.digest }
    const id = datasetId(identity)
    const holder = cache ?? { ...NO_CACHE, root: job.root, state: join(job.root, '.longshore') }
    const path = datasetFolder(holder, identity)
    // What a killed first run left is not at its place yet.
    const placed = existsSync(path)
    const places = {
      root: placed ? path : treeFolder(holder, id),
      staging: stagingFolder(holder, id),
      journals: journalFolder(holder, id),
      part,
      boot: await bootId(),
    }
    const older = cache && (await findOlder(cache, identity))
    const scan = await scanVersion(version, { selection, older, places, signal })
    const said = cache ? (await listReady(cache, id)).some((r) => covers(r.selection, selection)) : false
    // Each file was looked for: one that somebody removed by hand is missing, whatever READY says.
    const ready = said && placed && scan.missing.count === 0
    return { url: source.url, id, path, kind: version.kind, digest: version.digest, ready, scan }
  } finally {
    await rm(scratch, { recursive: true, force: true })
    await source.store.close()
  }
}

const NO_CACHE: Omit<Cache, 'root' | 'state'> = {
  mode: 'private',
  modes: { dir: 0o700, file: 0o600, data: 0o400 },
  readOnly: true,
  unfit: undefined,
  warn: () => {},
}
