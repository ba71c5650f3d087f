import { crc32 } from '../checksum/crc32.ts'
import { compareKeys, lowerBound } from './key-index.ts'

export interface ListQuery {
  prefix: string
  delimiter: string
  /** Entries after this one: a key or a common prefix. '' : from the start. */
  after: string
  maxKeys: number
}

export interface ListEntry {
  name: string
  /** A common prefix rather than a key. */
  folder: boolean
}

export interface ListResult {
  entries: ListEntry[]
  truncated: boolean
}

/** One page of the sorted `keys`, rolled up at the delimiter. Work is that of the page, not of the bucket. */
export function listKeys(
  keys: readonly string[],
  { prefix, delimiter, after, maxKeys }: ListQuery,
): ListResult {
  const entries: ListEntry[] = []
  if (maxKeys === 0) return { entries, truncated: false }
  let at = compareKeys(after, prefix) >= 0 ? lowerBound(keys, after, true) : lowerBound(keys, prefix)
  while (at < keys.length) {
    const key = keys[at] ?? ''
    if (!key.startsWith(prefix)) break
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const name = cut === -1 ? key : key.slice(0, cut + delimiter.length)
    const folder = cut !== -1
    // A common prefix that is not after `after` was on an earlier page, with all that is in it.
    const wanted = !folder || after === '' || compareKeys(name, after) > 0
    if (wanted && entries.length === maxKeys) return { entries, truncated: true }
    if (wanted) entries.push({ name, folder })
    at = folder ? skipPrefix(keys, name, at) : at + 1
  }
  return { entries, truncated: false }
}

/** The same entries in an order of their own, by a hash of the name, with `from` counting entries. */
export function listUnsorted(keys: readonly string[], query: ListQuery, from: number): ListResult {
  const { entries } = listKeys(keys, { ...query, maxKeys: Number.POSITIVE_INFINITY })
  const hashed = entries.map((entry) => ({ entry, hash: crc32(Buffer.from(entry.name)) }))
  hashed.sort((a, b) => a.hash - b.hash)
  const page = hashed.slice(from, from + query.maxKeys).map(({ entry }) => entry)
  return { entries: page, truncated: from + page.length < entries.length && query.maxKeys > 0 }
}

/** First position from `at` whose key does not begin with `prefix`: keys that share one stand together. */
function skipPrefix(keys: readonly string[], prefix: string, at: number): number {
  let low = at
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] ?? '').startsWith(prefix)) low = middle + 1
    else high = middle
  }
  return low
}
