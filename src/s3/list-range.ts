import { watchCircle } from './circle.ts'
import type { ListedObject } from './store.ts'

/** Keys after `last` and before `until`, being read page by page. */
export interface Range {
  last: string
  until: string | undefined
  token: string
  circle: ReturnType<typeof watchCircle>
  /** It was asked for by StartAfter, and may get what is before this place too. */
  start: string | undefined
  /** It is read folder by folder: by this one's prefix now. */
  folder: string | undefined
  /** Its first key. */
  first: string
  /** Keys of its last page, some of them: in order, the first and the last among them. */
  page: readonly string[]
  /** Full pages since it was divided: a range earns each division by what it delivered. */
  pages: number
  /** A request that may divide it is on its way. */
  dividing: boolean
  /** Its folders are asked for. */
  exploring: boolean
  /** Where `keys` are counted from. */
  from: string
  keys: number
  /** Keys a folder, as they were counted where it comes from. */
  size: number
}

export function newRange(about: Pick<Range, 'last' | 'until' | 'from' | 'size'> & Partial<Range>): Range {
  return {
    token: '',
    circle: watchCircle(),
    start: undefined,
    folder: undefined,
    first: '',
    page: [],
    pages: 0,
    dividing: false,
    exploring: false,
    keys: 0,
    ...about,
  }
}

/** Whether folders end where pages end. */
export function watchEnds() {
  let [even, uneven] = [0, 0]
  return {
    /** A page, and the key before it. */
    see(before: string, page: readonly ListedObject[]): void {
      const folder = folderOf(page[0]?.key)
      if (folderOf(before) !== folder) even++
      else if (folder !== folderOf(page.at(-1)?.key)) uneven++
    },
    areEven: (): boolean => even > 2 * uneven,
  }
}

function folderOf(key = ''): string {
  return key.slice(0, key.lastIndexOf('/') + 1)
}
