import { compareKeys, countBorder, guessBorder } from './list-borders.ts'
import type { KnownFolders } from './list-folders.ts'
import type { Range } from './list-range.ts'

export type Division =
  /** From a border on, by StartAfter. */
  | { kind: 'border'; range: Range; border: string }
  /** From a folder on, folder by folder. */
  | { kind: 'folder'; range: Range; folder: string }
  /** The sub-folders of a folder are asked for: places to divide at. */
  | { kind: 'explore'; range: Range; folder: string; all: boolean }

export interface Divisible {
  ranges: Iterable<Range>
  folders: KnownFolders
  /** Of the listing. */
  prefix: string
  /** The order of the bytes is certain. */
  certain: boolean
  /** Keys of a full page. */
  full: number
  /** Folders end where pages end: each costs its own pages and no more. */
  even: boolean
  /** Pages read, of all ranges. */
  read: number
  mayGuess: boolean
  mayExplore: boolean
  /** Only what costs nothing. */
  onlyEven: boolean
}

/** The division that promises most: half of the range that has most left, by what is known of it. */
export function chooseDivision(about: Divisible): Division | undefined {
  let best: { division: Division; left: number } | undefined
  for (const range of about.ranges) {
    if (range.dividing) continue
    let offer = byFolder(range, about)
    if (!about.onlyEven && !range.exploring) {
      const other = byExploring(range, about)
      if (other !== undefined && other.left > (offer?.left ?? 0)) offer = other
      offer ??= byLetters(range, about)
    }
    if (offer !== undefined && (best === undefined || offer.left > best.left)) best = offer
  }
  return best?.division
}

/** `left`: pages that the range has left, or so it seems. */
type Offer = { division: Division; left: number } | undefined

function byFolder(range: Range, { folders, full, even, onlyEven }: Divisible): Offer {
  // Folder by folder, the next one is on its way.
  const { folder: now = '', last } = range
  let [from, to] = folders.between(compareKeys(now, last) > 0 ? now : last, range.until)
  if (to === from) return undefined
  const size = folderSize(range, folders)
  const isEven = even && size >= full
  // What its next page brings is on its way.
  if (isEven && range.folder === undefined) from++
  if (from >= to) return undefined
  const left = ((to - from) * size) / full
  let middle = (from + to) >> 1
  if (!isEven) middle = Math.max(middle, from + Math.ceil((2 * full) / size - 0.5))
  // Of small folders as many as fill pages, and not quite: then hardly anything of the last one is thrown away.
  if (size < full / 2) middle = fitting(from, middle, size / full)
  const folder = middle < to ? folders.at(middle) : undefined
  if (folder === undefined) return undefined
  if (isEven && folders.isPlaced(folder))
    return { division: { kind: 'folder', range, folder }, left: left + 1 }
  if ((left < 3 && size < 2 * full) || range.pages === 0 || onlyEven) return undefined
  return { division: { kind: 'border', range, border: justBefore(folder) }, left }
}

function isInside(border: string, { last, until }: Range): boolean {
  return compareKeys(border, last) > 0 && (until === undefined || compareKeys(border, until) < 0)
}

function fitting(from: number, middle: number, pagesEach: number): number {
  let best = { at: middle, waste: 1 }
  for (let at = middle; at > from && at > middle - 1 / pagesEach; at--) {
    const pages = (at - from) * pagesEach
    const waste = Math.ceil(pages + 0.05) - pages
    if (waste < best.waste) best = { at, waste }
  }
  return best.at
}

/** Its folder is about to end, by what is known of the others. */
function endsSoon({ folder, size, pages }: Range, { even, full }: Divisible): boolean {
  const rest = size - pages * full
  return pages === 0 || (even && folder !== undefined && rest > -full && rest < 2 * full)
}

function byExploring(range: Range, about: Divisible): Offer {
  const folder = about.mayExplore && !endsSoon(range, about) ? unexplored(range, about) : undefined
  if (folder === undefined) return undefined
  // Of large folders all names, however many pages they take.
  const all = spanned(range.page, folder) <= 2
  return { division: { kind: 'explore', range, folder, all }, left: 2 * range.pages }
}

function byLetters(range: Range, about: Divisible): Offer {
  const { prefix, certain, read, mayGuess, folders } = about
  if (!mayGuess || endsSoon(range, about)) return undefined
  const where = { ...range, fixed: prefix.length, certain, read }
  const counted = countBorder(where)
  const border = counted === undefined && range.pages > 1 ? guessBorder(where) : counted?.border
  if (border === undefined || !isInside(border, range)) return undefined
  // What is beyond a folder that is known is known too.
  if (!border.startsWith(folders.around(range.last) ?? '')) return undefined
  return { division: { kind: 'border', range, border }, left: counted?.left ?? 1 }
}

/** Keys a folder, by those that the range has passed. */
export function folderSize({ from, last, keys, size }: Range, folders: KnownFolders): number {
  const [first, beyond] = folders.between(from, last)
  const passed = beyond - first
  return passed === 0 ? size : keys / passed
}

/** By bytes this is before all that is in the folder, its own name too. */
export function justBefore(folder: string): string {
  return `${folder.slice(0, -1)}.~~~~`
}

/** A folder with sub-folders, not yet asked for: the one where the range went from one to the next, or from the top. */
function unexplored(
  { first, last, page, folder: within = '' }: Range,
  { prefix, folders }: Divisible,
): string | undefined {
  let found: string | undefined
  for (let at = prefix.length - 1; at !== -1; at = last.indexOf('/', at + 1)) {
    const folder = last.slice(0, at + 1)
    if (
      at < Math.max(prefix.length, within.length) - 1 ||
      last.indexOf('/', at + 1) === -1 ||
      folders.asked.has(folder)
    )
      continue
    // The names of very many small folders end before the range's next pages do.
    if (spanned(page, folder) >= MANY) break
    if (first.startsWith(folder) && !first.startsWith(last.slice(0, last.indexOf('/', at + 1) + 1)))
      return folder
    found ??= folder
  }
  return found
}

const MANY = 20

/** How many sub-folders of `folder` a page of its keys touches. */
function spanned(page: readonly string[], folder: string): number {
  const names = new Set<string>()
  for (const key of page) names.add(key.slice(0, key.indexOf('/', folder.length) + 1))
  return names.size
}
