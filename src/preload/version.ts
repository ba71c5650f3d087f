import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import type { FileEntry } from '../fetch/entry.ts'
import type { Amount } from '../fs/amount.ts'
import { keyToPath } from '../fs/key-path.ts'
import { DATASET_MANIFEST, type ShardEntry } from '../manifest/dataset.ts'
import { type ListedFile, writeListing } from './listing.ts'
import {
  indexEntries,
  MAX_MANIFEST,
  type PackedDataset,
  parsePacked,
  selectShards,
  shardBlocks,
  shardEntries,
} from './packed.ts'
import { readListingBatches } from './read-listing.ts'
import { createSelector, type Selection } from './select.ts'
import { countRequest, listSource, nothingThere, type Source, type SourceContext } from './source.ts'

/** Files in batches: a promise a batch is nothing, a promise a file would be most of the planning. */
export type Batches = AsyncIterable<readonly FileEntry[]> | Iterable<readonly FileEntry[]>

/** What a source holds now: its identity and its files. Entries can be walked again and again, in the same order. */
export interface Version {
  kind: 'packed' | 'prefix'
  /** 64 hex */
  digest: string
  /** Files of a selection, without a packed dataset's manifest. */
  entries(selection: Selection): Batches
  /** The same files in the order of their need: each stage is complete before the next one begins. */
  stages(selection: Selection): Batches[]
  /** Every file it has, archived ones too, in the same order. */
  everything(): Batches
  /** CRC-32 of each block of a large file of it, where known: read from what is in `root` already. */
  blocks(entry: FileEntry, root: string): Promise<readonly number[] | undefined>
  /** A packed dataset's manifest: the last file that is placed. */
  manifest?: { entry: FileEntry; bytes: Buffer } | undefined
  /** A plain prefix's listing: its file, to be kept with the version. */
  listing?: string | undefined
  /** What all of a plain prefix amounts to, where that was counted and nothing of it is archived. */
  total?: Amount | undefined
  packed?: PackedDataset | undefined
}

/**
 * Looks at a source: with a `longshore.json` it is a packed dataset, else a plain prefix, which is listed whole
 * into a file in `scratch`. `onAnswer`: it has answered a first time. `onFound`: so much is known to be there so far.
 * NOT_FOUND when nothing is there.
 */
export async function identify(
  source: Source,
  context: SourceContext & {
    scratch: () => Promise<string>
    onAnswer?: () => void
    onFound?: (amount: Amount) => void
  },
): Promise<Version> {
  const { signal } = context
  const document = await source.store.getDocument(source.prefix + DATASET_MANIFEST, {
    maxBytes: MAX_MANIFEST,
    signal,
    onRequest: countRequest(context),
    onRetry: (retry) => context.onRetry(retry.reason),
  })
  context.onAnswer?.()
  const packed = document && parsePacked(document.bytes, source.url)
  if (packed) {
    const { shards } = packed.manifest
    context.onFound?.({ files: shards.length, bytes: shards.reduce((sum, { size }) => sum + size, 0) })
    return packedVersion(packed)
  }
  const found: Amount = { files: 0, bytes: 0 }
  const dir = await context.scratch()
  const to = join(dir, 'listing')
  const listing = await writeListing(listSource(source, context), {
    url: source.url,
    prefix: source.prefix,
    to,
    dir,
    signal,
    onObjects(objects, bytes) {
      found.files += objects
      found.bytes += bytes
      context.progress.done({ objects, bytes })
      context.onFound?.(found)
    },
  })
  if (listing.objects === 0) throw nothingThere(source)
  const { digest, objects: files, bytes, archived } = listing
  return { ...prefixVersion(digest, to, source.url), ...(archived === 0 && { total: { files, bytes } }) }
}

export function packedVersion(packed: PackedDataset): Version {
  const { digest, manifest, bytes } = packed
  const shards = new Map<string, ShardEntry>(manifest.shards.map((s) => [s.name, s]))
  return {
    kind: 'packed',
    digest,
    packed,
    entries(selection) {
      const selected = selectShards(manifest, selection)
      return [indexEntries(selected, manifest), shardEntries(selected)]
    },
    stages(selection) {
      const selected = selectShards(manifest, selection)
      return [[indexEntries(selected, manifest)], [shardEntries(selected)]]
    },
    everything: () => [indexEntries(manifest.shards, manifest), shardEntries(manifest.shards)],
    async blocks(entry, root) {
      const shard = shards.get(entry.name)
      return shard && shardBlocks(shard, root)
    },
    manifest: {
      bytes,
      entry: { name: DATASET_MANIFEST, path: DATASET_MANIFEST, size: bytes.length, etag: '' },
    },
  }
}

export function prefixVersion(digest: string, listing: string, url: string): Version {
  return {
    kind: 'prefix',
    digest,
    listing,
    entries: (selection) => listedEntries(listing, selection, url),
    stages: (selection) => [listedEntries(listing, selection, url)],
    everything: () => allEntries(listing),
    blocks: async () => undefined,
  }
}

async function* listedEntries(
  listing: string,
  selection: Selection,
  url: string,
): AsyncGenerator<FileEntry[]> {
  const { wants, deals } = createSelector(selection)
  const archived: { first: string; class: string; count: number } = { first: '', class: '', count: 0 }
  let index = 0
  for await (const batch of readListingBatches(listing)) {
    const entries: FileEntry[] = []
    for (const file of batch) {
      if (!wants(file.name) || !deals(index++)) continue
      if (file.archived && archived.count++ === 0)
        Object.assign(archived, { first: file.name, class: file.archived })
      if (archived.count === 0) entries.push(toEntry(file))
    }
    if (entries.length > 0) yield entries
  }
  if (archived.count === 0) return
  const path = url + archived.first
  throw new LongshoreError(
    'ARCHIVED',
    `${path} is archived (${archived.class})${archived.count > 1 ? `, as are ${archived.count - 1} more` : ''}`,
    { path, hint: 'restore and copy them to a class that can be read, or leave them out with --exclude' },
  )
}

async function* allEntries(listing: string): AsyncGenerator<FileEntry[]> {
  for await (const batch of readListingBatches(listing)) yield batch.map(toEntry)
}

function toEntry({ name, size, etag }: ListedFile): FileEntry {
  return { name, path: keyToPath(name), size, etag }
}
