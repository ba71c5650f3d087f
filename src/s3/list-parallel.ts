import type { LongshoreError } from '../errors.ts'
import type { FetchedPage, PageRequest } from './list-s3.ts'
import type { ListPage } from './store.ts'

export async function* listParallel(
  fetchPage: (request: PageRequest) => Promise<FetchedPage>,
  options: PageRequest & { refuse: (why: string) => LongshoreError },
): AsyncGenerator<ListPage, void, undefined> {
  let token: string | undefined
  do {
    const { refuse: _, ...request } = options
    const page = await fetchPage({ ...request, token })
    yield page
    token = page.next
  } while (token !== undefined)
}
