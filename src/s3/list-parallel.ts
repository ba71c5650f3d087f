import { setMaxListeners } from 'node:events'
import type { LongshoreError } from '../errors.ts'
import { watchCircle } from './circle.ts'
import { rangeReader } from './list-reader.ts'
import { requestsOnTheirWay } from './list-requests.ts'
import type { FetchedPage, PageRequest } from './list-s3.ts'
import type { CallOptions, ListPage } from './store.ts'

/** Requests on their way at once, and pages held at once: 16 of 1,000 keys. */
const IN_FLIGHT = 16

export interface ParallelOptions extends CallOptions {
  prefix: string
  /** The server is known to list in the order of the keys' bytes. */
  ordered: boolean
  /** The error for a listing that can't be used. */
  refuse: (why: string) => LongshoreError
}

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
 *
 * What a division costs is what the range before it reads beyond its border: part of a page. So borders lie where a
 * page is likely to end, the last folder before one is read by its own prefix, and where folders end as pages end (a
 * thousand files each) all of it is read folder by folder, which costs nothing. That a folder comes right after
 * another is taken from their parent's own listing, as the keys in between are: both were asked for.
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
  const { send, count, next, settle } = requestsOnTheirWay(fetchPage, request)
  const reader = rangeReader(send, { prefix, ordered, refuse })

  try {
    const first = await fetchPage(request)
    const start = watchCircle()
    start(first.next, first.objects[0]?.key)
    yield { objects: first.objects, folders: [] }
    if (first.next === undefined) return
    const second = await fetchPage({ ...request, token: first.next })
    if (start(second.next, second.objects[0]?.key)) throw refuse('its pages come again and again')
    reader.begin(first, second, start)
    yield { objects: second.objects, folders: [] }
    while (count() > 0) {
      // Most divisions cost part of a page twice: a listing earns them by its length.
      const most = 2 + (reader.pages() >> 2)
      while (count() < width && reader.widen(count() >= most));
      const objects = await next()
      if (objects.length > 0) yield { objects, folders: [] }
    }
  } finally {
    stop.abort()
    await settle()
  }
}
