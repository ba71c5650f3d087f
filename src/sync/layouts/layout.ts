import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { FileRecord, FolderRecord, Tree } from '../scan-tree.ts'

/**
 * A framework's answer to "which checkpoints in this tree are complete?". One file each; src/sync/layouts/choose.ts
 * lists them. A layout only judges: the generic rule (one unchanged rescan, or --settle) is in scan-settled.ts.
 */
export interface Layout {
  name: string
  /** For --layout auto: are there traces of this framework, even of an unfinished save? */
  claims(view: LayoutView): Promise<boolean>
  judge(view: LayoutView): Promise<Judgement>
}

export interface LayoutView {
  tree: Tree
  /** DIR, absolute. */
  dir: string
  /** --marker, on a path relative to DIR. */
  marker?: ((path: string) => boolean) | undefined
  /** --also: copied by another way, part of no checkpoint. */
  also(path: string): boolean
  read: SmallReads
}

export interface Judgement {
  candidates: Candidate[]
  /** What looks like a checkpoint and lacks something; said to the user when it stays so. */
  waiting: { name: string; why: string }[]
}

/** Complete as far as its names and contents tell; not yet proven to be quiet. */
export interface Candidate {
  /** Unique within the tree. */
  name: string
  step: number | null
  files: { path: string; record: FileRecord }[]
  /** Small files that point at it, as they go into its commit. */
  pointers: { path: string; mode: number; bytes: Uint8Array }[]
  /** Links beside it that lead to it (`latest`): in its commit, but a link that moves on is no change of it. */
  links: { path: string; record: FileRecord }[]
  /** Folders that the pass must have looked into, and no more: what else comes and goes in them is not its own. */
  folders: FolderRecord[]
  /** Folders that belong to it as a whole: an entry that comes or goes is a change. */
  listings: FolderRecord[]
  /** How long it must not have changed: one rescan, or --settle. */
  quiet: 'rescan' | 'settle'
  /** The writer's own order among the candidates, where the layout knows it: lower is older. */
  rank?: number | undefined
}

/** Reads a few bytes of a scanned file; undefined when the file is no longer the one that was scanned. */
export interface SmallReads {
  /** The whole file; undefined also when it is larger than `max` bytes. */
  whole(path: string, record: FileRecord, max: number): Promise<Buffer | undefined>
  /** Its last `length` bytes; undefined also when it is shorter. */
  tail(path: string, record: FileRecord, length: number): Promise<Buffer | undefined>
}

export function createSmallReads(dir: string): SmallReads {
  // A changed file is a new record: what was read of the old one goes with it.
  const cache = new WeakMap<FileRecord, Map<string, Buffer>>()

  async function range(path: string, record: FileRecord, at: number, length: number) {
    const key = `${at}+${length}`
    const known = cache.get(record)?.get(key)
    if (known !== undefined) return known
    const bytes = await readStill(join(dir, path), record, at, length)
    if (bytes !== undefined) {
      const reads = cache.get(record) ?? new Map<string, Buffer>()
      cache.set(record, reads.set(key, bytes))
    }
    return bytes
  }
  return {
    async whole(path, record, max) {
      if (record.symlink !== undefined || record.size > max) return undefined
      return await range(path, record, 0, record.size)
    },
    async tail(path, record, length) {
      if (record.symlink !== undefined || record.size < length) return undefined
      return await range(path, record, record.size - length, length)
    },
  }
}

async function readStill(
  path: string,
  record: FileRecord,
  at: number,
  length: number,
): Promise<Buffer | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const file = await open(path, flags).catch(() => undefined)
  if (file === undefined) return undefined
  try {
    const bytes = Buffer.alloc(length)
    const { bytesRead } = await file.read(bytes, 0, length, at)
    const now = await file.stat({ bigint: true })
    const still =
      now.ino === record.inode && now.mtimeNs === record.mtimeNs && Number(now.size) === record.size
    return still && bytesRead === length ? bytes : undefined
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}
