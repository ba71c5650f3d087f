/** Order of the keys' UTF-8 bytes, as S3 documents it: `<` compares UTF-16 units, which is another one for emoji. */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/**
 * Whether two neighbours of a listing are in order: that of bytes, or (`folders`) that of a tree of folders, where
 * everything below `a/` comes before `a-b` (SeaweedFS).
 */
export function inOrder(before: string, after: string, folders: boolean): boolean {
  if (before < after || compareKeys(before, after) < 0) return true
  return folders && compareKeys(before.replaceAll('/', '\0'), after.replaceAll('/', '\0')) < 0
}

/** StartAfter the very name of a folder means after all that is in it (SeaweedFS): no border may be one. */
const NO_FOLDER = '~~~~'

/**
 * A key somewhere in the middle of what is left of a range, by what its last page looked like: the letters in use
 * where its keys differ, and how far they differ. Only a guess: a range without keys there costs one request.
 * Unless `certain`, it has no '/' from `fixed` on. Then both orders have the same keys of the range on its two sides:
 * where a key has a '/' and the border a lesser letter, the last key that was read has that letter too, and is after it.
 * undefined: there is nothing to guess by.
 */
export function guessBorder(about: {
  /** The last page of the range: in order, not empty. */
  page: readonly { key: string }[]
  /** No key of the range is beyond it. */
  until: string | undefined
  /** Length of the prefix that is listed. */
  fixed: number
  /** The order of the bytes is certain: any letter may stand before the guessed one. */
  certain: boolean
}): string | undefined {
  const { page, until, fixed, certain } = about
  const first = page[0]?.key ?? ''
  const last = page.at(-1)?.key ?? ''
  const same = shared(first, last)
  const letters = lettersIn(page, same)
  const above = (letter: string, below?: string): string[] =>
    letters.filter((one) => one > letter && (below === undefined || one < below))
  const border = (at: number, choice: readonly string[]): string | undefined => {
    const letter = choice[choice.length >> 1]
    if (letter === undefined) return undefined
    const found = last.slice(0, at) + letter
    return certain ? found : found.includes('/', fixed) ? undefined : found + NO_FOLDER
  }
  if (until === undefined) {
    // The last letter that the whole page has in common counts pages; the one before it, tens of them.
    for (let at = Math.max(fixed, same - 2); at >= fixed; at--) {
      const choice = above(last.charAt(at))
      if (choice.length > 0) return border(at, choice)
    }
    return border(same, above(last.charAt(same)))
  }
  const cut = Math.max(fixed, shared(last, until))
  const between = above(last.charAt(cut), until.charAt(cut))
  if (between.length > 0) return border(cut, between)
  for (let at = cut + 1; at <= same; at++) {
    const choice = above(last.charAt(at))
    if (choice.length > 0) return border(at, choice)
  }
  return undefined
}

/** Letters that keys of the page have from `from` on, up to a dot or a '/', in order. */
function lettersIn(page: readonly { key: string }[], from: number): string[] {
  const letters = new Set<string>()
  const step = Math.max(1, page.length >> 6)
  for (let i = 0; i < page.length; i += step) {
    for (const letter of page[i]?.key.slice(from) ?? '') {
      if (letter === '.' || letter === '/') break
      if (letter > '/' && letter <= '~') letters.add(letter)
    }
  }
  return [...letters].sort()
}

function shared(a: string, b: string): number {
  let at = 0
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  return at
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
