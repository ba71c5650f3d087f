import type { BigIntStats } from 'node:fs'
import { lstat, readdir, readlink, stat } from 'node:fs/promises'
import { join, posix, resolve } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { STATE_FOLDER } from '../manifest/checkpoint.ts'
import { insideTarget } from './inside-target.ts'
import {
  type FileRecord,
  type FolderRecord,
  joinPath,
  latestChange,
  newFolder,
  sameFile,
  type Tree,
} from './scan-tree.ts'

/** lstat calls in flight: enough to hide a network filesystem's latency, few enough for libuv's pool. */
const BATCH = 64
/** ms: a folder whose stamps moved this recently is read again; stamps are as coarse as 1 s (NFS, ext3). */
const RACY = 2_500

export interface ScannerOptions {
  /** ms; every file is looked at this often, whatever the folders say. Default 60 s. */
  fullEvery?: number | undefined
  /** ms; folders with a change this recent are read in full. Default 30 s. */
  hot?: number | undefined
  /** A thing that no checkpoint can hold; called once for each path and reason. */
  onOdd?: ((path: string, why: string) => void) | undefined
  /** ms, monotonic; tests bring their own. */
  now?: (() => number) | undefined
}

export interface ScanOptions {
  signal?: AbortSignal | undefined
  /** Look at every file in this pass. */
  full?: boolean | undefined
  /** Folders (relative paths) whose files are all looked at in this pass: those of candidates. */
  hot?: ReadonlySet<string> | undefined
}

export interface Scanner {
  /** One pass; undefined when DIR is not there. Throws LOCAL_IO when DIR is no folder or can't be read. */
  scan(options?: ScanOptions): Promise<Tree | undefined>
  /** After a hard link of `path` was made or removed by us: its new ctime is not a change by the writer. */
  absorb(path: string): Promise<void>
}

/**
 * Looks at folders in every pass, at files when their folder moved or was busy lately, at everything once a
 * minute. Never relies on events: inotify drops them silently, and NFS, Lustre and overlays send none.
 */
export function createScanner(dir: string, options: ScannerOptions = {}): Scanner {
  const { fullEvery = 60_000, hot: hotMs = 30_000, now = () => performance.now() } = options
  const top = resolve(dir)
  const told = new Set<string>()
  let root: FolderRecord | undefined
  let device: bigint | undefined
  let fullAt = Number.NEGATIVE_INFINITY

  return { scan, absorb }

  async function scan({ signal, full = false, hot }: ScanOptions = {}): Promise<Tree | undefined> {
    const at = now()
    // DIR itself may be a symbolic link; what is in it may not lead out of it.
    const found = await stat(top, { bigint: true }).catch((error: unknown) => unlessMissing(error, top))
    if (found === undefined) {
      root = undefined
      return undefined
    }
    if (!found.isDirectory()) {
      throw new LongshoreError('LOCAL_IO', `${dir} is not a folder`, { path: dir })
    }
    // Another filesystem was mounted, or DIR was made anew: inodes of before mean nothing now.
    if (root === undefined || device !== found.dev || root.inode !== found.ino) root = newFolder('', at)
    device = found.dev
    const all = full || at - fullAt >= fullEvery
    await visit(root, found, { at, all, hot, signal })
    if (all) fullAt = at
    return { root, at }
  }

  interface Pass {
    at: number
    all: boolean
    hot: ReadonlySet<string> | undefined
    signal: AbortSignal | undefined
  }

  async function visit(folder: FolderRecord, stats: BigIntStats, pass: Pass): Promise<void> {
    pass.signal?.throwIfAborted()
    const moved =
      folder.mtimeNs !== stats.mtimeNs || folder.ctimeNs !== stats.ctimeNs || folder.inode !== stats.ino
    if (moved) folder.movedAt = pass.at
    folder.mtimeNs = stats.mtimeNs
    folder.ctimeNs = stats.ctimeNs
    folder.inode = stats.ino
    const busy = Math.max(folder.changedAt, latestChange(folder)) > pass.at - hotMs
    if (pass.all || busy || pass.at - folder.movedAt < RACY || pass.hot?.has(folder.path)) {
      await readFolder(folder, pass)
      return
    }
    const names = [...folder.folders.keys()]
    await inBatches(names, async (name) => {
      const child = folder.folders.get(name)
      const found = await look(joinPath(folder.path, name), folder)
      if (child === undefined) return
      if (found?.isDirectory()) await visit(child, found, pass)
      else {
        folder.folders.delete(name)
        folder.changedAt = pass.at
      }
    })
  }

  async function readFolder(folder: FolderRecord, pass: Pass): Promise<void> {
    folder.unreadable = false
    let names: string[]
    try {
      names = await readdir(join(top, folder.path))
    } catch (error) {
      unlessMissing(error, join(top, folder.path), () => {
        folder.unreadable = true
        odd(folder.path, 'can not be read')
      })
      names = []
    }
    const files = new Set<string>()
    const folders = new Set<string>()
    await inBatches(names, async (name) => {
      if (folder.path === '' && name === STATE_FOLDER) return
      const path = joinPath(folder.path, name)
      const found = await look(path, folder)
      if (found === undefined) {
        // readdir gives names as UTF-8; one that is not comes back mangled and can't be opened again.
        if (name.includes('\ufffd')) odd(path, 'has a name that is not UTF-8')
        return
      }
      if (found.isDirectory()) {
        let child = folder.folders.get(name)
        if (child === undefined) {
          child = newFolder(path, pass.at)
          folder.folders.set(name, child)
          folder.changedAt = pass.at
        }
        folders.add(name)
        await visit(child, found, pass)
        return
      }
      const record = await describe(path, found, pass.at)
      if (record === undefined) return
      files.add(name)
      const before = folder.files.get(name)
      if (before === undefined) folder.changedAt = pass.at
      if (before !== undefined && sameFile(before, record)) {
        before.ctimeNs = record.ctimeNs
        before.nlink = record.nlink
      } else folder.files.set(name, record)
    })
    for (const name of folder.files.keys()) {
      if (!files.has(name) && folder.files.delete(name)) folder.changedAt = pass.at
    }
    for (const name of folder.folders.keys()) {
      if (!folders.has(name) && folder.folders.delete(name)) folder.changedAt = pass.at
    }
    folder.freshAt = pass.at
  }

  async function look(path: string, folder: FolderRecord): Promise<BigIntStats | undefined> {
    const full = join(top, path)
    return await lstat(full, { bigint: true }).catch((error: unknown) =>
      unlessMissing(error, full, () => {
        folder.unreadable = true
        odd(path, 'can not be read')
      }),
    )
  }

  async function describe(path: string, found: BigIntStats, at: number): Promise<FileRecord | undefined> {
    const record: FileRecord = {
      size: Number(found.size),
      mtimeNs: found.mtimeNs,
      ctimeNs: found.ctimeNs,
      inode: found.ino,
      nlink: Number(found.nlink),
      mode: Number(found.mode) & 0o7777,
      changedAt: at,
    }
    if (found.isFile()) return record
    if (!found.isSymbolicLink()) {
      odd(path, `is a ${kind(found)}: no checkpoint can hold it`)
      return undefined
    }
    const target = await readlink(join(top, path)).catch((error: unknown) => unlessMissing(error, path))
    if (target === undefined) return undefined
    const inside = insideTarget(top, path, target)
    if (inside === undefined) {
      odd(path, 'is a symbolic link that leads out of the folder: it is not followed')
      return undefined
    }
    return { ...record, size: 0, symlink: inside }
  }

  async function absorb(path: string): Promise<void> {
    const name = posix.basename(path)
    const parent = posix.dirname(path)
    let folder = root
    if (parent !== '.') for (const part of parent.split('/')) folder = folder?.folders.get(part)
    const record = folder?.files.get(name)
    if (record === undefined) return
    const found = await lstat(join(top, path), { bigint: true }).catch(() => undefined)
    if (found === undefined || found.ino !== record.inode || found.mtimeNs !== record.mtimeNs) return
    if (record.symlink === undefined && Number(found.size) !== record.size) return
    record.ctimeNs = found.ctimeNs
    record.nlink = Number(found.nlink)
  }

  function odd(path: string, why: string): void {
    const key = `${path}\0${why}`
    // Bounded: a writer that makes a new pipe each second must not fill the memory.
    if (told.has(key) || told.size >= 10_000) return
    told.add(key)
    options.onOdd?.(path, why)
  }
}

function kind(found: BigIntStats): string {
  if (found.isFIFO()) return 'named pipe'
  if (found.isSocket()) return 'socket'
  return 'device'
}

/** Gone between two looks is no error here. With `unreadable`, neither is a folder that we may not enter. */
function unlessMissing(error: unknown, path: string, unreadable?: () => void): undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
  if (unreadable !== undefined && (code === 'EACCES' || code === 'EPERM' || code === 'ENAMETOOLONG')) {
    unreadable()
    return undefined
  }
  throw new LongshoreError('LOCAL_IO', `${path} can not be looked at: ${String(code ?? error)}`, {
    path,
    cause: error,
  })
}

async function inBatches<T>(items: readonly T[], each: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await each(item)
  }
  await Promise.all(Array.from({ length: Math.min(BATCH, items.length) }, lane))
}
