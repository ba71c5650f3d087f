import { type FolderRecord, foldersOf, joinPath } from '../scan-tree.ts'
import { wholeFolder } from './folder.ts'
import type { Judgement, Layout } from './layout.ts'

/**
 * `--marker GLOB`: a file that matches completes its folder. A save into the same folder leaves the old marker
 * until its end, so the marker must be as new as every file beside it.
 */
export const marker: Layout = {
  name: 'marker',

  async claims(view) {
    return view.marker !== undefined
  },

  async judge(view) {
    const found: Judgement = { candidates: [], waiting: [] }
    const { marker: matches } = view
    if (matches === undefined) return found
    const done: FolderRecord[] = []
    for (const folder of foldersOf(view.tree.root)) {
      let newest: bigint | undefined
      for (const [name, record] of folder.files) {
        if (record.symlink !== undefined || !matches(joinPath(folder.path, name))) continue
        if (newest === undefined || record.mtimeNs > newest) newest = record.mtimeNs
      }
      if (newest === undefined) continue
      // A marker inside a folder that is complete as a whole tells nothing new.
      if (done.some((outer) => outer.path === '' || folder.path.startsWith(`${outer.path}/`))) continue
      done.push(folder)
      const name = folder.path === '' ? '.' : folder.path
      const candidate = await wholeFolder(folder, name, view)
      const later = candidate.files.find((file) => newest !== undefined && file.record.mtimeNs > newest)
      if (later !== undefined) {
        found.waiting.push({ name, why: `${later.path} is newer than its marker` })
      } else if (candidate.listings.some((each) => each.unreadable)) {
        found.waiting.push({ name, why: 'a part of it can not be read' })
      } else found.candidates.push({ ...candidate, quiet: 'rescan' })
    }
    return found
  },
}
