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
  onObjects?: ((objects: number, bytes: number) => void) | undefined
}

export interface Listing {
  /** sha256 of a line `[name,size,etag]` (JSON) per object, sorted by the bytes of the name; hex. */
  digest: string
  objects: number
  bytes: number
}

/** Classes that answer a GET with 403 until they are restored. GLACIER_IR is not one of them. */
const ARCHIVED = new Set(['GLACIER', 'DEEP_ARCHIVE'])
const LINES = 2000

/**
 * Writes the listing of a prefix as a file, a JSON line an object, sorted by the bytes of the name whatever order
 * the server lists in, and takes its digest: the identity of the version. Memory does not grow with the number
 * of objects. Folder markers (`x/` of size 0) are folders, not files, and are left out; an `x/` with bytes in it
 * is a file under an escaped name. Keys that can't be files side by side (`a` and `a/b`) are KEY_CONFLICT.
 */
export async function writeListing(
  objects: AsyncIterable<ListedObject>,
  options: ListingOptions,
): Promise<Listing> {
  const hash = createHash('sha256')
  const check = createConflictCheck(options.url)
  const out = createWriteStream(options.to, { mode: 0o600 })
  const failed = new Promise<never>((_, reject) => out.once('error', reject))
  failed.catch(() => {})
  const total = { objects: 0, bytes: 0 }
  let batch: string[] = []
  const write = async (): Promise<void> => {
    if (batch.length === 0) return
    const text = batch.join('')
    batch = []
    if (!out.write(text))
      await Promise.race([failed, new Promise<void>((resolve) => out.once('drain', () => resolve()))])
  }
  try {
    const { dir, memory, signal } = options
    for await (const record of spillSort(toRecords(objects, options), { dir, memory, signal })) {
      const name = record.key.toString()
      const [size, etag, archived] = decodeValue(record.value)
      check(name)
      hash.update(`${JSON.stringify([name, size, etag])}\n`)
      batch.push(`${JSON.stringify(archived ? [name, size, etag, archived] : [name, size, etag])}\n`)
      total.objects++
      total.bytes += size
      if (batch.length >= LINES) await write()
    }
    await write()
    out.end()
    await Promise.race([failed, finished(out)])
    return { digest: hash.digest('hex'), ...total }
  } catch (error) {
    out.destroy()
    await rm(options.to, { force: true })
    throw error
  }
}

/** Reads a listing file back, in its order. BAD_MANIFEST where it is no such file. */
export async function* readListing(path: string): AsyncGenerator<ListedFile> {
  for await (const batch of readListingBatches(path)) yield* batch
}

async function* toRecords(
  objects: AsyncIterable<ListedObject>,
  { prefix, url, onObjects }: ListingOptions,
): AsyncGenerator<SortRecord> {
  for await (const { key, size, etag, storageClass } of objects) {
    if (!key.startsWith(prefix)) {
      throw new LongshoreError(
        'SERVER',
        `${url}: the listing names ${JSON.stringify(key)}, which is outside`,
        {
          path: url,
        },
      )
    }
    if (size === 0 && (key === prefix || key.endsWith('/'))) continue
    onObjects?.(1, size)
    const archived = storageClass !== undefined && ARCHIVED.has(storageClass) ? storageClass : undefined
    const value = JSON.stringify(archived ? [size, etag, archived] : [size, etag])
    yield { key: Buffer.from(key.slice(prefix.length)), value: Buffer.from(value) }
  }
}

function decodeValue(value: Buffer): [size: number, etag: string, archived?: string] {
  return JSON.parse(value.toString())
}
