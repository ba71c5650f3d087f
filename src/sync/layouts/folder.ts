import { posix } from 'node:path'
import { type FolderRecord, filesOf, folderAt, foldersOf, joinPath } from '../scan-tree.ts'
import type { Candidate, LayoutView } from './layout.ts'
import { stepOf } from './names.ts'

/** bytes: `latest` holds a name */
const MAX_POINTER = 4096

/** A candidate of everything under a folder, with the links and small files beside it that point at it. */
export async function wholeFolder(folder: FolderRecord, name: string, view: LayoutView): Promise<Candidate> {
  const files = [...filesOf(folder)].filter((file) => !view.also(file.path))
  const candidate: Candidate = {
    name,
    step: stepOf(name),
    files,
    links: [],
    pointers: [],
    folders: [],
    listings: [...foldersOf(folder)],
    quiet: 'settle',
  }
  if (folder.path !== '') await addPointers(candidate, folder.path, view)
  return candidate
}

/** Files beside `entry` whose whole content is its name, and links that lead to it. */
export async function addPointers(candidate: Candidate, entry: string, view: LayoutView): Promise<void> {
  const parent = posix.dirname(entry)
  const beside = folderAt(view.tree, parent === '.' ? '' : parent)
  if (beside === undefined) return
  candidate.folders.push(beside)
  for (const name of beside.files.keys()) {
    const path = joinPath(beside.path, name)
    const target = await pointsAt(path, beside, view)
    if (target?.entry !== entry || view.also(path)) continue
    if (target.bytes === undefined) candidate.links.push({ path, record: target.record })
    else candidate.pointers.push({ path, mode: target.record.mode, bytes: target.bytes })
  }
}

export interface PointsAt {
  /** The folder or file that is named, relative to DIR. */
  entry: string
  record: Candidate['files'][number]['record']
  /** undefined: a symbolic link */
  bytes?: Uint8Array | undefined
}

/** What a file in `folder` points at: the entry beside it that it names (`latest`), or links to; else undefined. */
export async function pointsAt(
  path: string,
  folder: FolderRecord,
  view: LayoutView,
): Promise<PointsAt | undefined> {
  const name = posix.basename(path)
  const record = folder.files.get(name)
  if (record === undefined) return undefined
  if (record.symlink !== undefined) {
    return { entry: posix.join(posix.dirname(path), record.symlink).replace(/^\.\//, ''), record }
  }
  if (record.size === 0 || record.size > MAX_POINTER) return undefined
  const bytes = await view.read.whole(path, record, MAX_POINTER)
  const text = bytes?.toString('utf8').trim()
  if (text === undefined || text === '' || text.includes('\n')) return undefined
  const named = posix.basename(text)
  if (named === name || !(folder.folders.has(named) || folder.files.has(named))) return undefined
  return { entry: joinPath(folder.path, named), record, bytes }
}
