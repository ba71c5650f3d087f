import type { FetchedPage, PageRequest } from './list-s3.ts'
import type { ListedObject } from './store.ts'

export type TakePage = (page: FetchedPage) => ListedObject[]

export type RequestsOnTheirWay = ReturnType<typeof requestsOnTheirWay>

/** The requests of a listing that are on their way: each with what is to be done with its page, or its failure. */
export function requestsOnTheirWay(
  fetchPage: (request: PageRequest) => Promise<FetchedPage>,
  base: PageRequest,
) {
  const running = new Set<Promise<void>>()
  /** What came and is still to be taken. Not a race of all requests: the slowest would hold what each round brought. */
  const arrived: (() => ListedObject[])[] = []
  let wake: (() => void) | undefined
  return {
    count: (): number => running.size,
    /** `fail` may send another one, or throw. */
    send(what: Partial<PageRequest>, take: TakePage, fail: (error: unknown) => void = raise): void {
      const arrive = (use: () => ListedObject[]): void => {
        arrived.push(() => {
          running.delete(one)
          base.signal?.throwIfAborted()
          return use()
        })
        wake?.()
      }
      const one = fetchPage({ ...base, ...what }).then(
        (page) => arrive(() => take(page)),
        (error: unknown) =>
          arrive(() => {
            fail(error)
            return []
          }),
      )
      running.add(one)
    },
    /** The objects that the next answer brings. */
    async next(): Promise<ListedObject[]> {
      if (arrived.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      return arrived.shift()?.() ?? []
    },
    async settle(): Promise<void> {
      await Promise.all(running)
    },
  }
}

function raise(error: unknown): never {
  throw error
}
