import type { LongshoreError } from '../errors.ts'
import { watchCircle } from './circle.ts'
import { areInOrder, compareKeys, isAmbiguous, isBeyondBorder, sampled } from './list-borders.ts'
import { chooseDivision, folderSize, justBefore } from './list-divide.ts'
import { isBeyond, knownFolders } from './list-folders.ts'
import { askOrder } from './list-order.ts'
import { newRange, type Range, watchEnds } from './list-range.ts'
import type { RequestsOnTheirWay } from './list-requests.ts'
import type { FetchedPage, PageRequest } from './list-s3.ts'
import { ownText } from './own-text.ts'
import type { ListedObject } from './store.ts'

/** The ranges of a listing: each reads itself page by page, and is divided when asked to. */
export function rangeReader(
  send: RequestsOnTheirWay['send'],
  options: { prefix: string; ordered: boolean; refuse: (why: string) => LongshoreError },
) {
  const { prefix, ordered, refuse } = options
  const ranges = new Set<Range>()
  const state = { dividing: true, certain: ordered, divided: false, pages: 2, wasted: 0, explored: 0 }
  const ends = watchEnds()
  let full = 1
  /** What only helps to divide: its failure is no failure of the listing. */
  const giveUp = (): void => {
    state.dividing = false
  }
  const folders = knownFolders(prefix)

  /** Of a server whose order is not known for certain: what lies on which side of it is no sure thing. */
  const isUnsure = (key: string): boolean => !ordered && isAmbiguous(key.slice(prefix.length))
  const checkOrder = (last: string | undefined, objects: readonly ListedObject[]): void => {
    if (areInOrder(last, objects, !state.certain)) return
    if (state.divided) throw refuse('its keys come in no order that could be divided')
    giveUp()
  }
  const read = (range: Range): void => {
    const { last, until, folder } = range
    const byToken = (): void =>
      send({ prefix: range.folder ?? prefix, token: range.token }, (page) => takeNext(range, page))
    const isOpen = until !== undefined && (folder === undefined || until.startsWith(folder))
    const end = state.dividing && state.certain && isOpen ? folders.lastFolder(last, until) : undefined
    if (end === undefined || end === folder || isUnsure(last)) {
      byToken()
      return
    }
    // The last folder before its end: by that one's prefix nothing is read that is another range's.
    range.folder = end
    send(
      { prefix: end, startAfter: last },
      (page) => takeFrom(range, `${last}\0`, page),
      () => {
        giveUp()
        range.folder = folder
        byToken()
      },
    )
  }
  /** Goes on with the folder's keys, by its prefix: that needs no order, and it ends where the folder does. */
  const readFolder = (range: Range, folder: string): void => {
    range.folder = folder
    send(
      { prefix: folder },
      (page) => takeFrom(range, folder, page),
      () => {
        giveUp()
        // That prefix may not be allowed.
        range.folder = undefined
        send({ startAfter: justBefore(folder) }, (page) => takeFrom(range, folder, page))
      },
    )
  }
  /** The first page of another way to read on. */
  const takeFrom = (range: Range, start: string, page: FetchedPage): ListedObject[] => {
    range.start = start
    range.circle = watchCircle()
    return takeNext(range, page)
  }
  const takeNext = (range: Range, page: FetchedPage): ListedObject[] => {
    if (range.circle(page.next, page.objects[0]?.key)) throw refuse('its pages come again and again')
    const { start, last } = range
    if (state.dividing || state.divided) checkOrder(start === undefined ? last : undefined, page.objects)
    if (start === undefined) return goOn(range, page)
    const objects = page.objects.filter(({ key }) => compareKeys(key, start) >= 0)
    if (objects.length > 0) range.start = undefined
    return goOn(range, { ...page, objects })
  }
  /** What of a page is the range's own; and its next page is asked for. */
  const goOn = (range: Range, page: FetchedPage): ListedObject[] => {
    const { until, last } = range
    const own = page.objects.filter(({ key }) => until === undefined || compareKeys(key, until) < 0)
    state.pages++
    if (range.pages > 0 && range.folder === undefined) ends.see(last, page.objects)
    if (page.next !== undefined) full = Math.max(full, page.objects.length)
    range.pages++
    range.keys += own.length
    if (own.length > 0) range.page = sampled(own)
    range.last = own.length > 0 ? (range.page.at(-1) ?? last) : last
    range.first ||= range.page[0] ?? ''
    if (own.length < page.objects.length) ranges.delete(range)
    else if (page.next !== undefined) {
      range.token = page.next
      read(range)
    } else if (range.folder === undefined) ranges.delete(range)
    else goBeyond(range, range.folder)
    return own
  }
  /** A folder was read to its end. */
  const goBeyond = (range: Range, folder: string): void => {
    const beyond = folders.after(folder)
    range.pages = 0
    if (beyond !== undefined && isBeyond(beyond, range.until)) ranges.delete(range)
    else if (beyond !== undefined && state.dividing) readFolder(range, beyond)
    else {
      const { last } = range
      range.folder = undefined
      // By bytes '0' comes right after '/'.
      const start = isUnsure(last) ? `${folder.slice(0, -1)}0` : `${last}\0`
      const startAfter = isUnsure(last) ? justBefore(folder) : last
      send({ startAfter }, (page) => takeFrom(range, start, page))
    }
  }

  const divide = (range: Range, border: string): void => {
    range.dividing = true
    const last = state.certain ? folders.lastFolder(range.last, range.until) : undefined
    const folder = last !== undefined && border.startsWith(last) ? last : undefined
    send(
      { prefix: folder ?? prefix, startAfter: border },
      (page) => {
        range.dividing = false
        // Read to its end, or past the border, in the meantime: the page has nothing new.
        if (!ranges.has(range) || compareKeys(range.last, border) > 0) {
          state.wasted++
          return []
        }
        const first = page.objects[0]?.key
        if (first !== undefined && !isBeyondBorder(first, border, state.certain)) {
          giveUp()
          return []
        }
        checkOrder(undefined, page.objects)
        if (!state.dividing) return []
        const { until } = range
        const isEmpty = first === undefined || (until !== undefined && compareKeys(first, until) >= 0)
        if (isEmpty && page.next !== undefined && first === undefined) return []
        if (isEmpty) {
          range.until = `${border}\0`
          state.wasted++
          return []
        }
        state.divided = true
        const other = part(range, border, border)
        range.until = `${border}\0`
        other.folder = folder
        return goOn(other, page)
      },
      giveUp,
    )
  }
  /** A new range: what `range` has after a border. */
  const part = (range: Range, last: string, from: string): Range => {
    range.pages = 0
    const other = newRange({ last, from, until: range.until, size: folderSize(range, folders) })
    ranges.add(other)
    return other
  }
  /** It takes effect at once. */
  const divideByFolder = (range: Range, folder: string): void => {
    const other = part(range, folder, justBefore(folder))
    range.until = folder
    state.divided = true
    readFolder(other, folder)
  }
  const explore = (range: Range, folder: string, all: boolean): void => {
    folders.asked.add(folder)
    state.explored++
    range.exploring = true
    if (range.pages > 4) {
      range.from = range.last
      range.keys = 0
    }
    const level = folders.level()
    const ask = (what: Partial<PageRequest>): void =>
      send(
        { prefix: folder, delimiter: '/', ...what },
        (page) => {
          if (level(page) && all) ask({ token: page.next })
          range.exploring = false
          return []
        },
        giveUp,
      )
    ask(range.from > folder ? { startAfter: range.from } : {})
  }
  /** One more request for the range that promises most; false when none does. */
  const widen = (onlyEven: boolean): boolean => {
    if (!state.dividing) return false
    const division = chooseDivision({
      ranges,
      folders,
      prefix,
      certain: state.certain,
      full,
      even: ends.areEven(),
      read: state.pages,
      mayGuess: state.wasted <= 8 + state.pages / 8,
      onlyEven,
      mayExplore: state.certain && state.explored <= 3 + state.pages / 8,
    })
    if (division === undefined) return false
    const range = division.range
    if (
      division.kind !== 'explore' &&
      isUnsure(division.kind === 'folder' ? division.folder : division.border)
    ) {
      giveUp()
      return false
    }
    if (division.kind === 'folder') divideByFolder(range, division.folder)
    else if (division.kind === 'explore') explore(range, division.folder, division.all)
    else divide(range, division.border)
    return true
  }

  const findOrder = (range: Range): void => {
    if (!state.dividing || state.certain) return
    range.dividing = askOrder(send, range, {
      prefix,
      giveUp,
      onAnswer(byBytes) {
        state.certain = byBytes
        range.dividing = false
      },
    })
  }
  return {
    pages: (): number => state.pages,
    widen,
    /** With its first two pages; `circle` has seen them. */
    begin(first: FetchedPage, second: FetchedPage, circle: Range['circle']): void {
      const pages = [...first.objects, ...second.objects]
      checkOrder(undefined, pages)
      if (second.next === undefined) return
      const page = sampled(second.objects.length > 0 ? second.objects : first.objects)
      const last = page.at(-1) ?? ''
      if (pages.length === 0) giveUp()
      full = Math.max(1, first.objects.length, second.objects.length)
      ends.see(first.objects.at(-1)?.key ?? '', second.objects)
      const whole = newRange({
        ...{ last, page, until: undefined, token: second.next, circle, pages: 2 },
        ...{ first: ownText(pages[0]?.key ?? ''), from: '', keys: pages.length, size: full },
      })
      ranges.add(whole)
      read(whole)
      findOrder(whole)
    },
  }
}
