import { ownText } from './own-text.ts'

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
function inOrder(before: string, after: string, folders: boolean): boolean {
  if (before < after && !isAmbiguous(after)) return true
  if (compareKeys(before, after) < 0) return true
  return folders && compareInTree(before, after) < 0
}

/** The order of bytes and that of UTF-16 units (Java, .NET) part where two such letters do, and nowhere else. */
const AMBIGUOUS = /[\ud800-\uffff]/

/** Where an order is to be relied on that nobody has promised, this is no place to divide at. */
export function isAmbiguous(key: string): boolean {
  return AMBIGUOUS.test(key)
}

/**
 * Whether an answer can begin with that key when what is after the border was asked for. In the order that is not the
 * server's the first key of a listing may well be beyond it, and is what a server begins with that ignores StartAfter.
 */
export function isBeyondBorder(key: string, border: string, certain: boolean): boolean {
  return compareKeys(key, border) > 0 && (certain || compareInTree(key, border) > 0)
}

function compareInTree(a: string, b: string): number {
  return compareKeys(a.replaceAll('/', '\0'), b.replaceAll('/', '\0'))
}

export function areInOrder(
  last: string | undefined,
  page: readonly { key: string }[],
  folders: boolean,
): boolean {
  let before = last
  for (const { key } of page) {
    if (before !== undefined && !inOrder(before, key, folders)) return false
    before = key
  }
  return true
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
  /** Keys of the range's last page, the first and the last among them: in order, not empty. */
  page: readonly string[]
  /** No key of the range is beyond it. */
  until: string | undefined
  /** Length of the prefix that is listed. */
  fixed: number
  /** The order of the bytes is certain: any letter may stand before the guessed one. */
  certain: boolean
}): string | undefined {
  const { page, until, fixed, certain } = about
  const first = page[0] ?? ''
  const last = page.at(-1) ?? ''
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

/**
 * A key so many pages after the last one, where names count or are spread evenly: by how far the letters moved from
 * the page's first key to its last. A little before that, so that the page before it is the last one of its range, and
 * hardly anything of it is thrown away. `left`: pages until the end of the range, or of what such letters can count.
 * It keeps the rules of `guessBorder`. No border: there is too little left. undefined: that can't be told.
 */
export function countBorder(
  about: Parameters<typeof guessBorder>[0] & {
    /** What was read by now, in pages: names that only count up have their end nobody knows where. */
    read: number
  },
): { border: string | undefined; left: number } | undefined {
  const { page, until, fixed, certain, read } = about
  const [first, last] = [page[0] ?? '', page.at(-1) ?? '']
  const same = shared(first, last)
  const letters = alphabet(lettersIn(page, same))
  const isLetter = (at: number): boolean =>
    letters.includes(first.charAt(at)) && letters.includes(last.charAt(at))
  let [from, end] = [same, same]
  while (end - same < DIGITS && isLetter(end)) end++
  while (from > fixed && end - from < MOST_DIGITS && isLetter(from - 1)) from--
  const bounded = until?.startsWith(last.slice(0, from)) === true
  const value = (key: string): number => {
    let sum = 0
    for (let at = from; at < end; at++) {
      const letter = key.charAt(at)
      sum = sum * letters.length + letters.filter((one) => one < letter).length
    }
    return sum
  }
  const [now, width] = [value(last), value(last) - value(first) + 1]
  const whole = letters.length ** (end - from)
  const left = ((bounded ? Math.min(value(until), whole) : whole) - now) / width
  if (letters.length < 2 || width < 4 || (!bounded && from > fixed && left < MANY)) return undefined
  const isCounting = letters.length <= 10
  const pages = Math.round(bounded || !isCounting ? left / 2 : Math.min(left / 2, 2 * read))
  const found = { border: undefined, left: Math.min(left, 2 * pages) }
  if (pages < 2) return found
  let rest = Math.round(now + pages * width - width / 8) - (certain ? 0 : 1)
  let digits = ''
  for (let at = from; at < end; at++) {
    digits = (letters[rest % letters.length] ?? '') + digits
    rest = Math.floor(rest / letters.length)
  }
  const border = last.slice(0, from) + digits
  if (certain) return { ...found, border }
  return border.includes('/', fixed) ? undefined : { ...found, border: border + NO_FOLDER }
}

/** Pages that a division should leave to a range: the next one is on its way. */
const MANY = 3

const DECIMAL: readonly string[] = [...'0123456789']

/** All digits, where only digits are in use. */
function alphabet(letters: readonly string[]): readonly string[] {
  for (const more of ['', 'abcdef', 'ABCDEF']) {
    const all = [...DECIMAL, ...more]
    if (letters.every((one) => all.includes(one))) return all
  }
  return letters
}

/** Letters after the first one that differs in a page that are counted with, and with those before it. */
const DIGITS = 3
const MOST_DIGITS = 12

/** Some 64 keys of a page, its first and its last among them: enough to guess by, in memory of their own. */
export function sampled(page: readonly { key: string }[]): string[] {
  const keys: string[] = []
  const step = Math.max(1, page.length >> 6)
  for (let i = 0; i < page.length - 1; i += step) keys.push(ownText(page[i]?.key ?? ''))
  const last = page.at(-1)
  if (last !== undefined) keys.push(ownText(last.key))
  return keys
}

/** Letters that keys of the page have from `from` on, up to a dot or a '/', in order. */
function lettersIn(page: readonly string[], from: number): string[] {
  const letters = new Set<string>()
  for (const key of page) {
    for (const letter of key.slice(from)) {
      if (letter === '.' || letter === '/') break
      if (letter > '/' && letter <= '~') letters.add(letter)
    }
  }
  return [...letters].sort()
}

export function shared(a: string, b: string): number {
  let at = 0
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  return at
}

function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
