import { setMaxListeners } from 'node:events'
import type { LongshoreError } from '../errors.ts'
import { watchCircle } from './circle.ts'
import { compareKeys, guessBorder, inOrder } from './list-borders.ts'
import type { FetchedPage, PageRequest } from './list-s3.ts'
import type { CallOptions, ListedObject, ListPage } from './store.ts'

/** Requests on their way at once, and pages held at once: 16 of 1,000 keys. */
const IN_FLIGHT = 16
/** Folder names kept as places to divide at. */
const MAX_FOLDERS = 10_000

export interface ParallelOptions extends CallOptions {
  prefix: string
  /** The server is known to list in the order of the keys' bytes. */
  ordered: boolean
  /** The error for a listing that can't be used. */
  refuse: (why: string) => LongshoreError
}

/** Keys after `last` up to `until`, being read page by page. */
interface Range {
  last: string
  until: string | undefined
  token: string
  page: ListedObject[]
  /** Full pages since it was divided: a range earns each division by what it delivered. */
  pages: number
  dividing: boolean
  circle: ReturnType<typeof watchCircle>
}

type Task = (page: FetchedPage) => ListedObject[]

/**
 * A listing with several requests on their way: a range of keys that turns out to be long is divided at a border,
 * and what lies beyond it is asked for by StartAfter. A key belongs to one range only, by its bytes, so it comes
 * once, and not at all only when it was not there all the time. A border takes effect when the page after it has
 * come and is beyond it, so a server that does not know StartAfter costs one request and is listed in turn.
 *
 * Borders need an order. With a server that lists by bytes (AWS; others are asked one question that tells) any
 * border will do: names of sub-folders first, guesses afterwards. Else only borders that part the keys alike in the
 * order of bytes and in that of a tree of folders. Pages in no order (Express): one after the other.
 * Two pages are read in turn first: a short listing costs no request more.
 */
export async function* listParallel(
  fetchPage: (request: PageRequest) => Promise<FetchedPage>,
  options: ParallelOptions,
): AsyncGenerator<ListPage, void, undefined> {
  const { prefix, ordered, refuse, signal, onRequest, onRetry } = options
  const stop = new AbortController()
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  // Each request listens to it; node takes more than ten for a leak.
  setMaxListeners(2 * IN_FLIGHT, either)
  let width = IN_FLIGHT
  const request: PageRequest = {
    prefix,
    onRequest,
    signal: either,
    onRetry(retry) {
      if (retry.slowDown) width = Math.max(1, width >> 1)
      onRetry?.(retry)
    },
  }
  const running = new Map<number, Promise<{ id: number; page?: FetchedPage; error?: unknown }>>()
  const tasks = new Map<number, { take: Task; fail: (error: unknown) => void }>()
  let ids = 0
  const send = (what: Partial<PageRequest>, take: Task, fail: (error: unknown) => void): void => {
    const id = ids++
    tasks.set(id, { take, fail })
    running.set(
      id,
      fetchPage({ ...request, ...what }).then(
        (page) => ({ id, page }),
        (error: unknown) => ({ id, error }),
      ),
    )
  }
  const raise = (error: unknown): never => {
    throw error
  }

  const ranges = new Set<Range>()
  const state = { dividing: true, certain: ordered, divided: false, pages: 0, wasted: 0, explored: 0 }
  /** What only helps to divide: its failure is no failure of the listing. */
  const giveUp = (): void => {
    state.dividing = false
  }
  let folders: string[] = []
  const known = new Set<string>()

  const checkOrder = (last: string | undefined, objects: readonly ListedObject[]): void => {
    let before = last
    for (const { key } of objects) {
      if (before !== undefined && !inOrder(before, key, !state.certain)) {
        if (state.divided) throw refuse('its keys come in no order that could be divided')
        giveUp()
        return
      }
      before = key
    }
  }
  const read = (range: Range): void => send({ token: range.token }, (page) => takeNext(range, page), raise)
  const takeNext = (range: Range, page: FetchedPage): ListedObject[] => {
    if (range.circle(page.next, page.objects[0]?.key)) throw refuse('its pages come again and again')
    if (state.dividing || state.divided) checkOrder(range.last, page.objects)
    return goOn(range, page)
  }
  /** What of a page is the range's own; and its next page is asked for. */
  const goOn = (range: Range, page: FetchedPage): ListedObject[] => {
    const { until } = range
    const own =
      until === undefined ? page.objects : page.objects.filter(({ key }) => compareKeys(key, until) <= 0)
    state.pages++
    range.pages++
    if (own.length > 0) range.page = own
    range.last = own.at(-1)?.key ?? range.last
    if (page.next === undefined || own.length < page.objects.length) ranges.delete(range)
    else {
      range.token = page.next
      read(range)
    }
    return own
  }

  const foldersIn = ({ last, until }: Range): [from: number, to: number] => {
    const to = until === undefined ? folders.length : firstBeyond(folders, until)
    return [firstBeyond(folders, last), folders[to - 1] === until ? to - 1 : to]
  }
  const divide = (range: Range, border: string): void => {
    range.dividing = true
    send(
      { startAfter: border },
      (page) => {
        range.dividing = false
        // Read to its end, or past the border, in the meantime: the page has nothing new.
        if (!ranges.has(range) || compareKeys(range.last, border) > 0) return []
        const first = page.objects[0]?.key
        if (first !== undefined && compareKeys(first, border) <= 0) {
          giveUp()
          return []
        }
        checkOrder(undefined, page.objects)
        if (!state.dividing) return []
        const { until } = range
        const isEmpty = first === undefined || (until !== undefined && compareKeys(first, until) > 0)
        if (isEmpty && page.next !== undefined && first === undefined) return []
        range.until = border
        if (isEmpty) {
          state.wasted++
          return []
        }
        state.divided = true
        range.pages = 0
        const rest = { last: border, until, token: '', page: [], pages: 0, dividing: false }
        const other: Range = { ...rest, circle: watchCircle() }
        ranges.add(other)
        return goOn(other, page)
      },
      giveUp,
    )
  }
  /** Asks for the sub-folders of the folder that a range is in: places to divide at. */
  const explore = (range: Range, folder: string): void => {
    known.add(folder)
    state.explored++
    range.dividing = true
    const dense = spanned(range.page, folder) < 20
    send(
      { prefix: folder, delimiter: '/', startAfter: range.last },
      (page) => {
        range.dividing = false
        // The names of very many small folders end before the range's next pages do.
        if (page.next === undefined || dense)
          folders = [...new Set([...folders, ...page.folders])].sort(compareKeys).slice(-MAX_FOLDERS)
        return []
      },
      giveUp,
    )
  }
  const unexplored = ({ last }: Range): string | undefined => {
    if (!state.certain || state.explored > 2 + state.pages / 16) return undefined
    for (let at = prefix.length - 1; at !== -1; at = last.indexOf('/', at + 1)) {
      const folder = last.slice(0, at + 1)
      if (at >= prefix.length - 1 && last.indexOf('/', at + 1) !== -1 && !known.has(folder)) return folder
    }
    return undefined
  }
  /** One more request for the range that promises most; false when none does. */
  const widen = (): boolean => {
    const free = [...ranges].filter((range) => !range.dividing && range.pages > 0)
    let best: { range: Range; from: number; to: number } | undefined
    for (const range of free) {
      const [from, to] = foldersIn(range)
      if (to > from && to - from > (best === undefined ? 0 : best.to - best.from)) best = { range, from, to }
    }
    const border = best && folders[(best.from + best.to) >> 1]
    if (best && border !== undefined) {
      divide(best.range, border)
      return true
    }
    for (const range of free.sort((a, b) => b.pages - a.pages)) {
      const folder = unexplored(range)
      if (folder !== undefined) {
        explore(range, folder)
        return true
      }
      if (range.pages < 2 || state.wasted > 8 + state.pages / 8) continue
      const guess = guessBorder({ ...range, fixed: prefix.length, certain: state.certain })
      if (guess === undefined || compareKeys(guess, range.last) <= 0) continue
      divide(range, guess)
      return true
    }
    return false
  }

  try {
    const first = await fetchPage(request)
    const start = watchCircle()
    start(first.next, first.objects[0]?.key)
    yield { objects: first.objects, folders: [] }
    if (first.next === undefined) return
    const second = await fetchPage({ ...request, token: first.next })
    if (start(second.next, second.objects[0]?.key)) throw refuse('its pages come again and again')
    checkOrder(undefined, [...first.objects, ...second.objects])
    if (second.next !== undefined) {
      const last = second.objects.at(-1)?.key ?? first.objects.at(-1)?.key ?? ''
      const page = second.objects.length > 0 ? second.objects : first.objects
      if (page.length === 0) giveUp()
      const whole: Range = {
        last,
        until: undefined,
        token: second.next,
        page,
        pages: 2,
        dividing: false,
        circle: start,
      }
      ranges.add(whole)
      read(whole)
      const slash = last.indexOf('/', prefix.length)
      if (state.dividing && !state.certain && slash !== -1) {
        whole.dividing = true
        // By bytes this lies just before everything in that folder; in a tree of folders, after it.
        send(
          { startAfter: `${last.slice(0, slash)}.~~~~`, maxKeys: 1 },
          (page) => {
            whole.dividing = false
            if (page.objects[0]?.key.startsWith(last.slice(0, slash + 1))) state.certain = true
            return []
          },
          giveUp,
        )
      }
    }
    yield { objects: second.objects, folders: [] }
    while (running.size > 0) {
      // Each division costs part of a page twice: a listing earns them by its length.
      const most = Math.min(width, 2 + (state.pages >> 2))
      while (state.dividing && running.size < most && widen());
      const { id, page, error } = await Promise.race(running.values())
      running.delete(id)
      const task = tasks.get(id)
      tasks.delete(id)
      signal?.throwIfAborted()
      if (page === undefined) task?.fail(error)
      const objects = page === undefined ? [] : (task?.take(page) ?? [])
      if (objects.length > 0) yield { objects, folders: [] }
    }
  } finally {
    stop.abort()
    await Promise.all(running.values())
  }
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

/** How many sub-folders of `folder` a page of its keys touches. */
function spanned(page: readonly ListedObject[], folder: string): number {
  const names = new Set<string>()
  for (const { key } of page) names.add(key.slice(0, key.indexOf('/', folder.length) + 1))
  return names.size
}
