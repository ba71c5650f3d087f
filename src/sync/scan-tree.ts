/**
 * What the scanner knows of DIR. Times are milliseconds of the scanner's own monotonic clock: the filesystem's
 * clock (NFS, restored mtimes) decides nothing, its stamps are only compared for equality.
 */
export interface Tree {
  root: FolderRecord
  /** When this pass began. */
  at: number
}

/** A regular file, or a symbolic link. A changed file is a new record, so a record can be a cache's key. */
export interface FileRecord {
  size: number
  mtimeNs: bigint
  ctimeNs: bigint
  inode: bigint
  nlink: number
  /** permission bits */
  mode: number
  /** A link's target: relative to its folder, normalized, inside DIR. */
  symlink?: string | undefined
  /** When it was first seen like this. */
  changedAt: number
}

export interface FolderRecord {
  /** Relative to DIR; '' is DIR itself. */
  path: string
  files: Map<string, FileRecord>
  folders: Map<string, FolderRecord>
  /** When an entry was last seen to come or go. */
  changedAt: number
  /** The pass that last looked at each of its files. */
  freshAt: number
  /** It, or a file in it, could not be looked at: nothing in it is judged complete. */
  unreadable: boolean
  inode: bigint
  mtimeNs: bigint
  ctimeNs: bigint
  /** When its own stamps last moved. */
  movedAt: number
}

export function joinPath(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`
}

/** Every folder of the tree from `folder` down, itself first. */
export function* foldersOf(folder: FolderRecord): Generator<FolderRecord> {
  yield folder
  for (const child of folder.folders.values()) yield* foldersOf(child)
}

/** Every file and link under `folder`, with its path relative to DIR. */
export function* filesOf(folder: FolderRecord): Generator<{ path: string; record: FileRecord }> {
  for (const each of foldersOf(folder)) {
    for (const [name, record] of each.files) yield { path: joinPath(each.path, name), record }
  }
}

/** The folder at `path`, if the last pass saw it. */
export function folderAt(tree: Tree, path: string): FolderRecord | undefined {
  let folder: FolderRecord | undefined = tree.root
  if (path === '') return folder
  for (const part of path.split('/')) folder = folder?.folders.get(part)
  return folder
}

/** A folder of which nothing is known yet. */
export function newFolder(path: string, at: number): FolderRecord {
  return {
    path,
    files: new Map(),
    folders: new Map(),
    changedAt: at,
    freshAt: Number.NEGATIVE_INFINITY,
    unreadable: false,
    inode: -1n,
    mtimeNs: -1n,
    ctimeNs: -1n,
    movedAt: at,
  }
}

/** Whether a file was not written to between two looks. */
export function sameFile(a: FileRecord, b: FileRecord): boolean {
  if (a.size !== b.size || a.mtimeNs !== b.mtimeNs || a.inode !== b.inode || a.mode !== b.mode) return false
  if (a.symlink !== b.symlink) return false
  // Links come and go (the stage's, a writer's rotation), and each moves the ctime: then it proves nothing.
  return a.ctimeNs === b.ctimeNs || a.nlink !== b.nlink
}

/** When one of its own files was last seen to change. */
export function latestChange(folder: FolderRecord): number {
  let at = Number.NEGATIVE_INFINITY
  for (const file of folder.files.values()) if (file.changedAt > at) at = file.changedAt
  return at
}
