import type { ListedObject, ObjectStore } from './store.ts'

/** Every object below a prefix, page by page, in the server's own order: nothing is held but one page. */
export async function* listObjects(
  store: ObjectStore,
  options: { prefix: string; signal?: AbortSignal | undefined; startAfter?: string | undefined },
): AsyncGenerator<ListedObject, void, undefined> {
  for await (const page of store.listPages(options)) yield* page.objects
}
