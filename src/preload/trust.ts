import { lstatSync, unlinkSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileEntry } from '../fetch/entry.ts'
import { crcOf } from '../fetch/large-file.ts'
import { isSameBoot } from '../fs/boot-id.ts'
import { removeDurable, writeFileDurable } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { BLOCK_BYTES } from '../transfer/types.ts'
import { createSelector, parseSelection } from './select.ts'
import type { Version } from './version.ts'

/**
 * What is present under final names when there is no READY. Small files are not synced one by one, so after a
 * reboot their names may be there without their bytes. A marker beside the journals keeps the boot in which the
 * unfinished fetch wrote; in the same boot a file's size is enough, in another one nothing unproven is kept.
 */
const MARKER = 'boot'
/** Larger files are always synced before they get their names, whatever the part size of the run was. */
const UNSYNCED_BYTES = BLOCK_BYTES

export interface TrustOptions {
  root: string
  /** The version's journal folder. */
  journals: string
  boot: string
  /** Selections that are READY: synced, whatever happened since. */
  ready: readonly string[]
  signal: AbortSignal
}

/** Removes what an unfinished fetch of another boot left unproven. */
export async function distrustOtherBoots(version: Version, options: TrustOptions): Promise<void> {
  if (await inDoubt(options.journals, options.boot)) await distrust(version, options)
}

/** Whether a fetch that wrote there in another boot was never finished: then sizes prove nothing. */
export async function inDoubt(journals: string, boot: string): Promise<boolean> {
  try {
    const marker = await readFile(join(journals, MARKER), 'utf8')
    return !isSameBoot(marker, boot)
  } catch (error) {
    // One that can't be read (another user's) is there all the same.
    return errorCode(error) !== 'ENOENT'
  }
}

/** From here on files of this boot may be there unsynced. Before the first of them is written. */
export async function markBoot(journals: string, boot: string, mode: number): Promise<void> {
  await writeFileDurable(join(journals, MARKER), boot, { mode })
}

/** Everything is synced: nothing is in doubt any more, whether READY comes to be said or not. */
export async function clearTrust(journals: string): Promise<void> {
  await removeDurable(join(journals, MARKER))
}

async function distrust(version: Version, options: TrustOptions): Promise<void> {
  const synced = createMembership(options.ready)
  for await (const batch of version.everything()) {
    for (const entry of batch) {
      options.signal.throwIfAborted()
      // Asked for every entry: shares count the entries they are asked about.
      const proven = version.kind === 'prefix' && synced(entry.name)
      const path = join(options.root, entry.path)
      if (proven || !hasSize(path, entry.size)) continue
      if (entry.crc32 === undefined ? entry.size > UNSYNCED_BYTES : await hasCrc(path, entry)) continue
      unlinkSync(path)
    }
  }
}

/**
 * Removes files that a killed run wrote in part, of whatever selection: before a tree that they were hidden in gets
 * its final name.
 */
export async function dropTorn(version: Version, root: string, signal: AbortSignal): Promise<void> {
  for await (const batch of version.everything()) {
    for (const { path, size } of batch) {
      signal.throwIfAborted()
      const at = join(root, path)
      const stat = lstatSync(at, { throwIfNoEntry: false })
      if (stat !== undefined && stat.size !== size) unlinkSync(at)
    }
  }
}

/** Whether a file belongs to one of the selections. Ask for every file of the listing, in its order. */
export function createMembership(selections: readonly string[]): (name: string) => boolean {
  const members = selections.flatMap((text) => {
    const selection = parseSelection(text)
    return selection ? [{ selector: createSelector(selection), index: 0 }] : []
  })
  return (name) => {
    let found = false
    for (const member of members) {
      if (member.selector.wants(name) && member.selector.deals(member.index++)) found = true
    }
    return found
  }
}

/** A plain file of that size: a folder, a link or a torn file is none. */
export function hasSize(path: string, size: number): boolean {
  // Synchronous: a promise a file costs more than the call, and there may be millions.
  const stat = lstatSync(path, { throwIfNoEntry: false })
  return stat?.isFile() === true && stat.size === size
}

async function hasCrc(path: string, { size, crc32 }: FileEntry): Promise<boolean> {
  const file = await open(path, 'r')
  try {
    return (await crcOf(file, { offset: 0, length: size })) === crc32
  } finally {
    await file.close()
  }
}
