import type { FetchedPage, PageRequest } from './list-s3.ts'
import type { ListedObject } from './store.ts'

export type TakePage = (page: FetchedPage) => ListedObject[]

export type RequestsOnTheirWay = ReturnType<typeof requestsOnTheirWay>

/** The requests of a listing that are on their way: each with what is to be done with its page, or its failure. */
export function requestsOnTheirWay(
  fetchPage: (request: PageRequest) => Promise<FetchedPage>,
  base: PageRequest,
) {
  const running = new Map<number, Promise<{ id: number; page?: FetchedPage; error?: unknown }>>()
  const tasks = new Map<number, { take: TakePage; fail: (error: unknown) => void }>()
  let ids = 0
  return {
    count: (): number => running.size,
    /** `fail` may send another one, or throw. */
    send(what: Partial<PageRequest>, take: TakePage, fail: (error: unknown) => void = raise): void {
      const id = ids++
      tasks.set(id, { take, fail })
      running.set(
        id,
        fetchPage({ ...base, ...what }).then(
          (page) => ({ id, page }),
          (error: unknown) => ({ id, error }),
        ),
      )
    },
    /** The objects that the next answer brings. */
    async next(): Promise<ListedObject[]> {
      const { id, page, error } = await Promise.race(running.values())
      running.delete(id)
      const task = tasks.get(id)
      tasks.delete(id)
      base.signal?.throwIfAborted()
      if (page !== undefined) return task?.take(page) ?? []
      task?.fail(error)
      return []
    },
    async settle(): Promise<void> {
      await Promise.all(running.values())
    },
  }
}

function raise(error: unknown): never {
  throw error
}
