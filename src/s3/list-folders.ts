import { compareKeys } from './list-borders.ts'
import type { FetchedPage } from './list-s3.ts'
import { ownText } from './own-text.ts'

/** Folder names kept as places to divide at. */
const MAX_FOLDERS = 10_000

/** What is known of the folders of a listing that comes in the order of the keys' bytes. */
export type KnownFolders = ReturnType<typeof knownFolders>

/** `prefix` is listed; nothing beyond it is. */
export function knownFolders(prefix: string) {
  let names: string[] = []
  /** What comes next at its level, with no key between; END: nothing does. */
  const next = new Map<string, string>([[prefix, END]])
  const asked = new Set<string>()
  const add = (folders: readonly string[]): void => {
    names = [...new Set([...names, ...folders])].sort(compareKeys)
    for (const name of names.slice(0, -MAX_FOLDERS)) next.delete(name)
    names = names.slice(-MAX_FOLDERS)
  }
  /** Takes the pages of a folder's own listing; true: there are more. Its gaps are known when all have come. */
  const level = (): ((page: FetchedPage) => boolean) => {
    const entries: string[] = []
    const isFolder = new Set<string>()
    return (page) => {
      const found = page.folders.map(ownText)
      add(found)
      for (const name of found) isFolder.add(name)
      entries.push(...found, ...page.objects.map(({ key }) => ownText(key)))
      if (page.next !== undefined) return entries.length < MAX_FOLDERS && page.folders.length > 0
      entries.sort(compareKeys)
      for (const [i, name] of entries.entries()) {
        const after = entries[i + 1]
        if (isFolder.has(name) && (after === undefined || isFolder.has(after))) next.set(name, after ?? END)
      }
      return false
    }
  }
  /** Where the listing goes on after all that is in `folder`. undefined: that is not known. */
  const after = (folder: string): string | undefined => {
    const found = next.get(folder)
    if (found !== END || folder === prefix) return found
    return after(folder.slice(0, folder.lastIndexOf('/', folder.length - 2) + 1))
  }
  return {
    asked,
    level,
    after,
    /** What comes after it at its level is known, or that nothing does. */
    isPlaced: (folder: string): boolean => next.has(folder),
    /** The innermost that a key is in. */
    around(key: string): string | undefined {
      for (let at = key.lastIndexOf('/'); at >= Math.max(1, prefix.length); at = key.lastIndexOf('/', at - 1))
        if (next.has(key.slice(0, at + 1))) return key.slice(0, at + 1)
      return undefined
    },
    at: (index: number): string | undefined => names[index],
    /** Those after `last` and before `until`, as positions. */
    between(last: string, until: string | undefined): [from: number, to: number] {
      const to = until === undefined ? names.length : firstBeyond(names, until)
      const from = firstBeyond(names, last)
      return [from, Math.max(from, names[to - 1] === until ? to - 1 : to)]
    },
    /** The folder that `key` is in, when after it the listing is at `until`, or at its end. */
    lastFolder(key: string, until: string | undefined): string | undefined {
      for (
        let at = key.lastIndexOf('/');
        at >= Math.max(1, prefix.length);
        at = key.lastIndexOf('/', at - 1)
      ) {
        const folder = key.slice(0, at + 1)
        const beyond = next.has(folder) ? after(folder) : undefined
        if (beyond !== undefined && isBeyond(beyond, until)) return folder
      }
      return undefined
    },
  }
}

export const END = ''

/** `name` is no place before `until`. */
export function isBeyond(name: string, until: string | undefined): boolean {
  return name === END || (until !== undefined && compareKeys(name, until) >= 0)
}

/** First position in sorted `names` that lies beyond `key`. */
function firstBeyond(names: readonly string[], key: string): number {
  let low = 0
  let high = names.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareKeys(names[middle] ?? '', key) > 0) high = middle
    else low = middle + 1
  }
  return low
}
