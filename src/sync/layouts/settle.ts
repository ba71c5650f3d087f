import { type FileRecord, type FolderRecord, filesOf, foldersOf } from '../scan-tree.ts'
import { addPointers, pointsAt, wholeFolder } from './folder.ts'
import type { Candidate, Judgement, Layout, LayoutView } from './layout.ts'
import { isBeside, isUnfinished, stemOf, stepOf } from './names.ts'

/**
 * The rule for everything else: an entry at the top of DIR that has not changed for --settle. A folder is one
 * checkpoint; files that differ only in their last extension are one (`model-5.pt`, `model-5.json`). Logs and
 * settings are none by themselves, links and files that only name an entry go with that entry. Hidden entries
 * (`.cache`, `.git`) are none.
 */
export const settle: Layout = {
  name: 'settle',

  async claims() {
    return true
  },

  async judge(view) {
    const found: Judgement = { candidates: [], waiting: [] }
    const { root } = view.tree
    for (const [name, folder] of root.folders) {
      if (!name.startsWith('.')) await judgeFolder(name, folder, view, found)
    }
    for (const name of root.files.keys()) {
      if (isUnfinished(name) && !view.also(name)) {
        found.waiting.push({ name, why: 'its name says that it is not finished' })
      }
    }
    for (const [name, group] of await groups(root, view)) {
      const candidate: Candidate = {
        name,
        step: stepOf(name),
        files: group,
        links: [],
        pointers: [],
        folders: [root],
        listings: [],
        quiet: 'settle',
      }
      for (const file of group) await addPointers(candidate, file.path, view)
      found.candidates.push(candidate)
    }
    return found
  },
}

async function judgeFolder(
  name: string,
  folder: FolderRecord,
  view: LayoutView,
  found: Judgement,
): Promise<void> {
  if (isUnfinished(name)) {
    found.waiting.push({ name, why: 'its name says that it is not finished' })
    return
  }
  const torn = unfinishedIn(folder)
  if (torn !== undefined) {
    found.waiting.push({ name, why: `${torn} says that it is not finished` })
    return
  }
  const candidate = await wholeFolder(folder, name, view)
  if (candidate.listings.some((each) => each.unreadable)) {
    found.waiting.push({ name, why: 'a part of it can not be read' })
  } else if (candidate.files.some((file) => file.record.symlink === undefined)) {
    found.candidates.push(candidate)
  }
}

function unfinishedIn(folder: FolderRecord): string | undefined {
  for (const each of foldersOf(folder)) {
    for (const name of each.folders.keys()) if (isUnfinished(name)) return `${each.path}/${name}`
  }
  for (const { path } of filesOf(folder)) if (isUnfinished(path.split('/').at(-1) ?? '')) return path
  return undefined
}

/** The files at the top, by stem. */
async function groups(
  root: FolderRecord,
  view: LayoutView,
): Promise<Map<string, { path: string; record: FileRecord }[]>> {
  const stems = new Map<string, { path: string; record: FileRecord }[]>()
  for (const [path, record] of root.files) {
    if (path.startsWith('.') || isUnfinished(path) || record.symlink !== undefined || view.also(path))
      continue
    if ((await pointsAt(path, root, view)) !== undefined) continue
    const stem = stemOf(path)
    const group = stems.get(stem) ?? []
    stems.set(stem, group)
    group.push({ path, record })
  }
  const named = new Map<string, { path: string; record: FileRecord }[]>()
  for (const [stem, group] of stems) {
    if (group.every((file) => isBeside(file.path))) continue
    // A lone file keeps its whole name; a stem that is a folder's name too must not be mistaken for it.
    const lone = group.length === 1 ? group[0]?.path : undefined
    named.set(lone ?? (root.folders.has(stem) ? `${stem}.*` : stem), group)
  }
  return named
}
