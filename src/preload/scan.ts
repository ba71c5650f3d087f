import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import type { FileEntry } from '../fetch/entry.ts'
import { partialBytes } from '../fetch/large-file.ts'
import type { Amount } from '../fs/amount.ts'
import { BLOCK_BYTES } from '../transfer/types.ts'
import type { OlderVersion } from './older.ts'
import { ALL, type Selection, selectionText } from './select.ts'
import { hasSize } from './trust.ts'
import type { Version } from './version.ts'

export interface Scan {
  /** All that was selected, a packed dataset's manifest included. */
  all: Amount
  /** Of these: there already, whole. */
  kept: Amount
  /** What is still to be written, what of an earlier run is done in part counted off. */
  todo: Amount
  /** Requests for that, roughly: an object or a range each. */
  gets: number
  missing: { count: number; first: string[] }
}

export interface ScanOptions {
  selection: Selection
  older?: OlderVersion | undefined
  /** undefined: nothing is there yet. */
  places?: { root: string; staging: string; journals: string; part: number; boot: string } | undefined
  signal?: AbortSignal | undefined
}

const SHOWN = 5

/** What is there and what is to be written, as `scanVersion` finds it, without what nobody writes for. */
export type Need = Pick<Scan, 'all' | 'kept' | 'todo'>

/** The same as a walk would find, where all is wanted and nothing can be there: then it is known already. */
export async function scanNeed(version: Version, options: ScanOptions): Promise<Need> {
  const { total } = version
  const all = selectionText(options.selection) === ALL && !options.older
  if (!total || !all || (options.places && existsSync(options.places.root)))
    return await scanVersion(version, options)
  return { all: total, kept: { files: 0, bytes: 0 }, todo: total }
}

/** One walk over what is wanted, beside what is there: no request, no write. ARCHIVED names what can't be read. */
export async function scanVersion(version: Version, options: ScanOptions): Promise<Scan> {
  const { signal } = options
  // A version that nobody began costs no look at the disk for each of its files.
  const places = options.places && existsSync(options.places.root) ? options.places : undefined
  const part = options.places?.part ?? BLOCK_BYTES
  const scan: Scan = {
    all: { files: 0, bytes: 0 },
    kept: { files: 0, bytes: 0 },
    todo: { files: 0, bytes: 0 },
    gets: 0,
    missing: { count: 0, first: [] },
  }
  const older = options.older?.open()
  try {
    for await (const batch of version.entries(options.selection)) {
      signal?.throwIfAborted()
      for (const entry of batch) {
        scan.all.files++
        scan.all.bytes += entry.size
        if (places && hasSize(join(places.root, entry.path), entry.size)) {
          scan.kept.files++
          scan.kept.bytes += entry.size
          continue
        }
        miss(scan, entry)
        const same = older?.find(entry)
        if ((same instanceof Promise ? await same : same) !== undefined) continue
        const partial = places && entry.size > Math.min(part, BLOCK_BYTES) ? partialBytes(entry, places) : 0
        scan.todo.files++
        scan.todo.bytes += entry.size - partial
        scan.gets += entry.size === 0 ? 0 : Math.ceil((entry.size - partial) / part)
      }
    }
    if (version.manifest) {
      const { entry } = version.manifest
      scan.all.files++
      scan.all.bytes += entry.size
      scan.todo.files++
      scan.todo.bytes += entry.size
      if (!places || !hasSize(join(places.root, entry.path), entry.size)) miss(scan, entry)
    }
    return scan
  } finally {
    await older?.close()
  }
}

function miss({ missing }: Scan, entry: FileEntry): void {
  missing.count++
  if (missing.first.length < SHOWN) missing.first.push(entry.name)
}

export function nothingSelected(url: string): LongshoreError {
  return new LongshoreError('USAGE', `${url}: --include and --exclude leave no file`, {
    path: url,
    hint: 'globs match the name relative to SRC; one without a slash matches at any depth',
  })
}
