import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { PackOptions } from '../../src/commands/pack.ts'
import { type IndexedSample, indexedSampleSchema } from '../../src/formats/sample-index.ts'
import { makePlan, spoolFileList } from '../../src/pack/make-plan.ts'
import { canonicalOptions, checkOptions } from '../../src/pack/options.ts'
import type { PlanHead } from '../../src/pack/plan-schema.ts'
import { SILENT } from '../../src/progress.ts'
import { localStore } from '../../src/s3/local-store.ts'
import type { ListPage, ObjectStore } from '../../src/s3/store.ts'
import { type Cleanup, tempDir } from '../support/tmp.ts'

export const PACK_DEFAULTS: PackOptions = {
  source: 's3://raw/set/',
  destination: 's3://packed/v1/',
  format: 'tar',
  shardSize: 1024 * 1024,
  name: 'train',
  include: [],
  exclude: [],
  groupBy: 'stem',
  require: [],
  onMissing: 'abort',
  onChanged: 'fail',
}

export type Listed = { key: string; size?: number; etag?: string; storageClass?: string }

/** A plan made from a listing that exists only here. */
export async function planOf(
  t: Cleanup,
  listing: readonly Listed[] | (() => Iterable<ListPage>),
  changes: Partial<PackOptions> = {},
  about: { kind?: ObjectStore['kind']; sortMemory?: number } = {},
): Promise<{ plan: PlanHead; readonly slices: IndexedSample[][]; dir: string }> {
  const dir = tempDir(t)
  const pack = { ...PACK_DEFAULTS, ...changes }
  const signal = new AbortController().signal
  checkOptions(pack)
  const list = pack.filesFrom === undefined ? null : await spoolFileList(pack.filesFrom, { dir, signal })
  const { plan } = await makePlan({
    pack,
    canonical: canonicalOptions(pack, list),
    source: { store: { ...storeOf(listing), kind: about.kind ?? 's3' }, prefix: 'set/' },
    sourceUrl: 's3://raw/set/',
    dir,
    sortMemory: about.sortMemory,
    progress: SILENT,
    signal,
  })
  return {
    plan,
    dir,
    get slices() {
      return plan.shards.map((_, i) =>
        readFileSync(join(dir, `slice-${i}`), 'utf8')
          .trimEnd()
          .split('\n')
          .map((line) => indexedSampleSchema.parse(JSON.parse(line))),
      )
    },
  }
}

function storeOf(listing: readonly Listed[] | (() => Iterable<ListPage>)): ObjectStore {
  const objects = typeof listing === 'function' ? [] : listing.map(listed)
  return {
    ...localStore('/nowhere'),
    kind: 's3',
    async *listPages() {
      if (typeof listing === 'function') yield* listing()
      else yield { objects, folders: [] }
    },
    async head(key) {
      const found = objects.find((object) => object.key === key)
      return found && { ...found, metadata: {}, checksums: {} }
    },
  }
}

function listed({ key, size = 1000, etag = '"e"', storageClass }: Listed) {
  return { key: `set/${key}`, size, etag, modified: 0, storageClass }
}

/** Bytes in use, garbage collected first. */
export function memoryInUse(): number {
  setFlagsFromString('--expose-gc')
  const collect: unknown = runInNewContext('gc')
  if (typeof collect === 'function') collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
