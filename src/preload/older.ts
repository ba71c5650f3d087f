import { join } from 'node:path'
import { type CachedDataset, folderOf, listDatasets } from '../cache/datasets.ts'
import { type HeldLease, takeLease } from '../cache/leases.ts'
import { journalFolder } from '../cache/paths.ts'
import { listReady } from '../cache/ready.ts'
import type { Cache, DatasetIdentity } from '../cache/types.ts'
import type { FileEntry } from '../fetch/entry.ts'
import { bootId } from '../fs/boot-id.ts'
import { canLink } from './can-link.ts'
import type { ListedFile } from './listing.ts'
import { readLocalManifest } from './local-manifest.ts'
import { readListingBatches } from './read-listing.ts'
import { createMembership, inDoubt } from './trust.ts'

/** The newest READY version of the same prefix but another digest: unchanged files are linked from it. */
export interface OlderVersion {
  id: string
  /** A finder for one walk over the entries, in their order. */
  open(): OlderFiles
}

export interface OlderFiles {
  /** Absolute path of the same bytes in the older version; a promise only where more of its listing must be read. */
  find(entry: FileEntry): string | undefined | Promise<string | undefined>
  close(): Promise<void>
}

export async function findOlder(cache: Cache, now: DatasetIdentity): Promise<OlderVersion | undefined> {
  let newest: { dataset: CachedDataset; completed: number; selections: string[] } | undefined
  for await (const dataset of listDatasets(cache)) {
    if (dataset.place !== now.place || dataset.bucket !== now.bucket || dataset.prefix !== now.prefix)
      continue
    if (dataset.digest === now.digest) continue
    const ready = await listReady(cache, dataset.id)
    const completed = Math.max(-1, ...ready.map((r) => r.completed))
    if (completed <= (newest?.completed ?? -1)) continue
    newest = { dataset, completed, selections: ready.map((r) => r.selection) }
  }
  if (!newest) return undefined
  const { dataset, selections } = newest
  const root = folderOf(cache, dataset)
  if (dataset.kind === 'prefix') {
    const listing = join(journalFolder(cache, dataset.id), 'listing')
    return { id: dataset.id, open: () => olderListed(listing, root, selections) }
  }
  // Another selection of it was being fetched when the power went: its files have their sizes, not their bytes.
  if (await inDoubt(journalFolder(cache, dataset.id), await bootId())) return undefined
  const manifest = await readLocalManifest(root)
  if (!manifest) return undefined
  // Whatever of a packed version has its final name was checked by its CRC-32, and READY synced it.
  const crcs = new Map<string, string>()
  for (const shard of manifest.manifest.shards) {
    for (const f of [shard, shard.index, ...(shard.dali ? [shard.dali] : [])])
      crcs.set(f.name, `${f.size} ${f.crc32}`)
  }
  const find = (entry: FileEntry): string | undefined => {
    const crc = entry.crc32?.toString(16).padStart(8, '0')
    const path = join(root, entry.path)
    return crc && crcs.get(entry.name) === `${entry.size} ${crc}` && canLink(path, entry.size)
      ? path
      : undefined
  }
  return { id: dataset.id, open: () => ({ find, close: async () => {} }) }
}

/** The same, kept from every evict until the lease is released: the plan counts on its files. */
export async function holdOlder(
  cache: Cache,
  now: DatasetIdentity,
  owner: string,
): Promise<{ older: OlderVersion; lease: HeldLease } | undefined> {
  const older = await findOlder(cache, now)
  if (!older) return undefined
  const lease = await takeLease(cache, { dataset: older.id, owner, live: true })
  // After the lease: an evict that withdrew READY before has not seen it.
  if ((await listReady(cache, older.id)).length > 0) return { older, lease }
  await lease.release()
  return undefined
}

/** Both listings are sorted by the bytes of the name, so one walk beside the other is enough. */
function olderListed(listing: string, root: string, selections: readonly string[]): OlderFiles {
  const batches = readListingBatches(listing)
  const isMember = createMembership(selections)
  let batch: readonly ListedFile[] = []
  let next = 0
  let current: { file: ListedFile; bytes: Buffer; member: boolean } | undefined
  let ended = false
  const fill = async (): Promise<void> => {
    try {
      const read = await batches.next()
      if (read.done) ended = true
      else batch = read.value
    } catch {
      // Evicted meanwhile, or damaged: then everything is fetched, which is never wrong.
      ended = true
    }
    next = 0
  }
  /** false: what comes next has to be read first. */
  const reach = (name: Buffer): boolean => {
    while (!current || current.bytes.compare(name) < 0) {
      const file = batch[next]
      if (file === undefined) return false
      next++
      current = { file, bytes: Buffer.from(file.name), member: isMember(file.name) }
    }
    return true
  }
  const same = (entry: FileEntry): string | undefined => {
    if (current?.file.name !== entry.name || !current.member) return undefined
    const { size, etag } = current.file
    if (size !== entry.size || etag !== entry.etag || entry.etag === '') return undefined
    const path = join(root, entry.path)
    return canLink(path, entry.size) ? path : undefined
  }
  const readOn = async (entry: FileEntry, name: Buffer): Promise<string | undefined> => {
    while (!ended) {
      await fill()
      if (!ended && reach(name)) return same(entry)
    }
    return undefined
  }
  return {
    find(entry) {
      if (ended) return undefined
      const name = Buffer.from(entry.name)
      return reach(name) ? same(entry) : readOn(entry, name)
    },
    async close() {
      await batches.return(undefined)
    },
  }
}
