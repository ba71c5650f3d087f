import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { finished } from 'node:stream/promises'
import { LongshoreError } from '../errors.ts'
import type { SortRecord } from '../fs/sort-run.ts'
import { spillSort } from '../fs/spill-sort.ts'
import type { ListedObject } from '../s3/store.ts'
import { createConflictCheck } from './conflicts.ts'
import { readListingBatches } from './read-listing.ts'

/** One object of a plain prefix, as its listing file keeps it. */
export interface ListedFile {
  /** The key relative to the prefix. */
  name: string
  size: number
  etag: string
  /** 'GLACIER' or 'DEEP_ARCHIVE': can't be read now. */
  archived?: string | undefined
}

export interface ListingOptions {
  /** `s3://bucket/prefix/`, for messages. */
  url: string
  prefix: string
  /** The listing file that is written: removed again when anything fails. */
  to: string
  /** An existing folder for sorting. */
  dir: string
  /** bytes held while sorting */
  memory?: number | undefined
  signal?: AbortSignal | undefined
  /** Told of each page. */
  onObjects?: ((objects: number, bytes: number) => void) | undefined
}

export interface Listing {
  /** sha256 of a line `[name,size,etag]` (JSON) per object, sorted by the bytes of the name; hex. */
  digest: string
  objects: number
  bytes: number
  /** Of these: can't be read now. */
  archived: number
}

/** Classes that answer a GET with 403 until they are restored. GLACIER_IR is not one of them. */
const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE'])

/**
 * Writes the listing of a prefix as a file, a JSON line an object, sorted by the bytes of the name whatever order
 * the server lists in, and takes its digest: the identity of the version. Memory does not grow with the number
 * of objects. Folder markers (`x/` of size 0) are folders, not files, and are left out; an `x/` with bytes in it
 * is a file under an escaped name. Keys that can't be files side by side (`a` and `a/b`) are KEY_CONFLICT.
 */
export async function writeListing(
  pages: AsyncIterable<readonly ListedObject[]>,
  options: ListingOptions,
): Promise<Listing> {
  const hash = createHash('sha256')
  const check = createConflictCheck(options.url)
  const out = createWriteStream(options.to, { mode: 0o600 })
  const failed = new Promise<never>((_, reject) => out.once('error', reject))
  failed.catch(() => {})
  const total = { objects: 0, bytes: 0, archived: 0 }
  const write = async (bytes: Buffer): Promise<void> => {
    if (!out.write(bytes))
      await Promise.race([failed, new Promise<void>((resolve) => out.once('drain', () => resolve()))])
  }
  try {
    const { dir, memory, signal } = options
    for await (const batch of spillSort(toRecords(pages, { ...options, total }), { dir, memory, signal })) {
      let lines = ''
      let identity: string | undefined
      for (const { key: name, value } of batch) {
        check(name)
        const start = `[${JSON.stringify(name)},`
        const at = value.indexOf('\n')
        if (at < 0) {
          const line = `${start}${value}]\n`
          lines += line
          if (identity !== undefined) identity += line
          continue
        }
        // What a class is today is not what the bytes are.
        identity = `${identity ?? lines}${start}${value.slice(0, at)}]\n`
        lines += `${start}${value.slice(0, at)},${value.slice(at + 1)}]\n`
      }
      const bytes = Buffer.from(lines)
      hash.update(identity ?? bytes)
      await write(bytes)
    }
    out.end()
    await Promise.race([failed, finished(out)])
    return { digest: hash.digest('hex'), ...total }
  } catch (error) {
    // Its open may be under way still, and would make the file after it was removed.
    const closed = out.closed ? undefined : new Promise<void>((resolve) => out.once('close', () => resolve()))
    out.destroy()
    await closed
    await rm(options.to, { force: true })
    throw error
  }
}

/** Reads a listing file back, in its order. BAD_MANIFEST where it is no such file. */
export async function* readListing(path: string): AsyncGenerator<ListedFile> {
  for await (const batch of readListingBatches(path)) yield* batch
}

/** Values are the rest of the line, `size,etag`; after a line feed the class of what is archived. */
async function* toRecords(
  pages: AsyncIterable<readonly ListedObject[]>,
  { prefix, url, onObjects, total }: ListingOptions & { total: Omit<Listing, 'digest'> },
): AsyncGenerator<SortRecord[]> {
  for await (const page of pages) {
    const records: SortRecord[] = []
    let bytes = 0
    for (const { key, size, etag, storageClass } of page) {
      if (!key.startsWith(prefix)) throw outside(url, key)
      if (size === 0 && (key === prefix || key.endsWith('/'))) continue
      let value = `${size},${JSON.stringify(etag)}`
      if (storageClass !== undefined && ARCHIVED.has(storageClass)) {
        value += `\n${JSON.stringify(storageClass)}`
        total.archived++
      }
      bytes += size
      records.push({ key: key.slice(prefix.length), value })
    }
    total.objects += records.length
    total.bytes += bytes
    onObjects?.(records.length, bytes)
    yield records
  }
}

function outside(url: string, key: string): LongshoreError {
  return new LongshoreError('SERVER', `${url}: the listing names ${JSON.stringify(key)}, which is outside`, {
    path: url,
  })
}
