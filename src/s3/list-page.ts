/** One page of ListObjectsV2 as the server wrote it: keys still encoded, nothing checked against the request. */
export interface ParsedPage {
  /** `EncodingType` is 'url': keys, folders are to be decoded. */
  encoded: boolean
  truncated: boolean
  next: string | undefined
  objects: ParsedObject[]
  folders: string[]
}

export interface ParsedObject {
  key: string
  size: number
  etag: string
  /** ms since the epoch; 0 where the server does not tell */
  modified: number
  storageClass?: string
}

/**
 * Reads a ListObjectsV2 answer in one pass, at a fiftieth of what a general parser and its schema cost a key: the
 * first object element by element, what is written like it by one pattern. It knows the elements of the API's
 * reference and plain text in them; undefined for anything else (another element, an attribute, CDATA, a comment, an
 * unusual number or date): the SDK's parser is then asked, so being strict here costs time, never an answer.
 */
export function parseListPage(body: Buffer): ParsedPage | undefined {
  const text = body.toString('utf8')
  const root = /^(?:<\?xml [^<>]*\?>)?\s*<ListBucketResult(?: xmlns="[^"<>&]*")?>/.exec(text)
  if (root === null) return undefined
  const page: ParsedPage = { encoded: false, truncated: false, next: undefined, objects: [], folders: [] }
  const seen = new Set<string>()
  const hasReturns = text.includes('\r')
  let days: { text: string; ms: number } = { text: '', ms: 0 }
  /** Names in the order of the object before: a server writes all of them alike, so a tag is compared, not cut out. */
  const order: string[] = []
  let at = root[0].length

  /** The text of the element whose opening tag ended before `at`; undefined: it is not plain. */
  const plain = (name: string): string | undefined => {
    const end = text.indexOf('<', at)
    if (end === -1 || !closes(text, end, name)) return undefined
    const value = text.slice(at, end)
    at = end + name.length + 3
    return plainOf(value)
  }
  /** The name of the tag that begins at the next '<', '/name' for a closing one; '' for what is none of ours. */
  const tag = (expected?: string): string => {
    if (expected !== undefined && text.startsWith(expected, at + 1) && isTag(text, at, expected)) {
      at += expected.length + 2
      return expected
    }
    while (isBlank(text.charCodeAt(at))) at++
    if (text.charCodeAt(at) !== LESS) return ''
    const end = text.indexOf('>', at)
    const name = text.slice(at + 1, end)
    at = end + 1
    return end === -1 ? '' : name
  }
  /** Elements with nothing in them that is wanted here: a level of plain children, or text. */
  const skip = (name: string): boolean => {
    if (text.charCodeAt(at) !== LESS && !isBlank(text.charCodeAt(at))) return plain(name) !== undefined
    for (;;) {
      const child = tag()
      if (child === `/${name}`) return true
      if (!/^[A-Za-z]+$/.test(child) || plain(child) === undefined) return false
    }
  }
  /** The general parser may trim, and turns carriage returns into line feeds. */
  const tidy = (value: string): boolean =>
    isVisible(value.charCodeAt(0)) &&
    isVisible(value.charCodeAt(value.length - 1)) &&
    !(hasReturns && value.includes('\r'))
  const time = (value: string): number | undefined => {
    if (value.length < 20 || value.length > 30 || value.charCodeAt(10) !== 84) return undefined
    const day = value.slice(0, 10)
    if (day !== days.text) {
      const ms = startOfDay(day)
      if (ms === undefined) return undefined
      days = { text: day, ms }
    }
    const [h, m, s] = [twoDigits(value, 11), twoDigits(value, 14), twoDigits(value, 17)]
    if (!(h < 24 && m < 60 && s < 60) || value.charCodeAt(13) !== 58 || value.charCodeAt(16) !== 58)
      return undefined
    const ms = value.length === 20 && value.charCodeAt(19) === 90 ? 0 : fraction(value)
    return ms === undefined ? undefined : days.ms + ((h * 60 + m) * 60 + s) * 1000 + ms
  }
  const object = (): ParsedObject | undefined => {
    let key: string | undefined
    let size: number | undefined
    let etag: string | undefined
    let modified: number | undefined
    let storageClass: string | undefined
    for (let nth = 0; ; nth++) {
      const name = tag(order[nth])
      order[nth] = name
      switch (name) {
        case '/Contents': {
          if (key === undefined || size === undefined) return undefined
          if (storageClass === undefined) return { key, size, etag: etag ?? '', modified: modified ?? 0 }
          return { key, size, etag: etag ?? '', modified: modified ?? 0, storageClass }
        }
        case 'Key': {
          if (key !== undefined) return undefined
          key = plain('Key')
          if (key === undefined || !tidy(key)) return undefined
          break
        }
        case 'Size': {
          const value = plain('Size')
          if (size !== undefined || value === undefined) return undefined
          size = wholeNumber(value)
          if (size === undefined) return undefined
          break
        }
        case 'ETag':
          if (etag !== undefined) return undefined
          etag = plain('ETag')
          if (etag === undefined || !tidy(etag)) return undefined
          break
        case 'LastModified': {
          if (modified !== undefined) return undefined
          modified = time(plain('LastModified') ?? '')
          if (modified === undefined) return undefined
          break
        }
        case 'StorageClass':
          if (storageClass !== undefined) return undefined
          storageClass = plain('StorageClass')
          if (storageClass === undefined || !tidy(storageClass)) return undefined
          break
        case 'ChecksumAlgorithm':
        case 'ChecksumType':
        case 'Owner':
        case 'RestoreStatus':
          if (!skip(name)) return undefined
          break
        case 'Owner/':
          break
        default:
          return undefined
      }
    }
  }

  let shape: Shape | undefined
  /** Objects that are written like the first one, as far as they go. */
  const alike = ({ pattern, places }: Shape): void => {
    for (;;) {
      pattern.lastIndex = at
      const found = pattern.exec(text)
      if (found === null) return
      const value = (name: Wanted): string | undefined => found[places[name]]
      const date = value('LastModified')
      const modified = date === undefined ? 0 : time(date)
      if (modified === undefined) return
      const tag = value('ETag')
      const [key = '', etag] = [value('Key'), tag === undefined ? '' : `"${tag}"`]
      const size = Number(value('Size'))
      const storageClass = value('StorageClass')
      page.objects.push(
        storageClass === undefined
          ? { key, size, etag, modified }
          : { key, size, etag, modified, storageClass },
      )
      at = pattern.lastIndex
    }
  }
  for (;;) {
    const name = tag()
    if (name === 'Contents') {
      const found = object()
      if (found === undefined) return undefined
      page.objects.push(found)
      shape ??= shapeOf(order)
      if (shape !== undefined) alike(shape)
      continue
    }
    if (name === '/ListBucketResult') return /\S/.test(text.slice(at)) ? undefined : page
    if (name === 'CommonPrefixes') {
      if (tag() !== 'Prefix') return undefined
      const folder = plain('Prefix')
      if (folder === undefined || !tidy(folder)) return undefined
      if (tag() !== '/CommonPrefixes') return undefined
      page.folders.push(folder)
      continue
    }
    const bare = name.endsWith('/') ? name.slice(0, -1) : name
    if (!SCALARS.has(bare) || seen.has(bare)) return undefined
    seen.add(bare)
    const value = bare === name ? plain(name) : ''
    if (value === undefined) return undefined
    if (bare === 'IsTruncated') {
      if (value !== 'true' && value !== 'false') return undefined
      page.truncated = value === 'true'
    } else if (bare === 'EncodingType') {
      if (value !== 'url' && value !== '') return undefined
      page.encoded = value === 'url'
    } else if (bare === 'NextContinuationToken') {
      if (value !== '' && !tidy(value)) return undefined
      if (value !== '') page.next = value
    }
  }
}

type Wanted = 'Key' | 'Size' | 'ETag' | 'LastModified' | 'StorageClass'

/** A pattern for objects whose elements come in one order, and which group of it holds what; 99: none does. */
interface Shape {
  pattern: RegExp
  places: Record<Wanted, number>
}

/** Visible ASCII but `&` and `<`: text that stays as it is. */
const TEXT = "[!-%'-;=-~]"
const QUOTE = '(?:&quot;|&#34;|")'
/** Each says less than the parser above understands, and nothing else. */
const FORMS: Readonly<Record<string, string>> = {
  Key: `(${TEXT}+)`,
  Size: '([0-9]{1,15})',
  ETag: `${QUOTE}([!#-%'-;=-~]*)${QUOTE}`,
  LastModified: '([0-9T:.Z-]{20,30})',
  StorageClass: `(${TEXT}+)`,
  ChecksumAlgorithm: `${TEXT}*`,
  ChecksumType: `${TEXT}*`,
  Owner: `(?:<ID>${TEXT}*</ID>)?(?:<DisplayName>${TEXT}*</DisplayName>)?`,
}

/** undefined: there is an element in it that has no such form. */
function shapeOf(names: readonly string[]): Shape | undefined {
  const places = { Key: 99, Size: 99, ETag: 99, LastModified: 99, StorageClass: 99 }
  let source = '<Contents>'
  let groups = 0
  for (const name of names) {
    if (name === '/Contents') break
    const form = FORMS[name]
    if (form === undefined) return undefined
    source += `<${name}>${form}</${name}>`
    if (name in places) places[name as Wanted] = ++groups
  }
  return { pattern: new RegExp(`${source}</Contents>`, 'y'), places }
}

const LESS = 0x3c
const SCALARS = new Set([
  'Name',
  'Prefix',
  'StartAfter',
  'ContinuationToken',
  'NextContinuationToken',
  'KeyCount',
  'MaxKeys',
  'Delimiter',
  'EncodingType',
  'IsTruncated',
])
const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&apos;': "'",
  '&#34;': '"',
  '&#39;': "'",
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09
}

function isVisible(code: number): boolean {
  return code > 0x20 && code < 0x7f
}

function isTag(text: string, at: number, name: string): boolean {
  return text.charCodeAt(at) === LESS && text.charCodeAt(at + name.length + 1) === 0x3e
}

function closes(text: string, at: number, name: string): boolean {
  const end = at + 2 + name.length
  return text.charCodeAt(at + 1) === 0x2f && text.charCodeAt(end) === 0x3e && text.startsWith(name, at + 2)
}

/** A quote as AWS and most write it, and as Go's encoder does. */
const QUOTES = ['&quot;', '&#34;']

function plainOf(value: string): string | undefined {
  if (!value.includes('&')) return value
  // Most ETags, and half of a page's time if they went the general way.
  for (const quote of QUOTES) {
    const inner = value.length - quote.length
    if (value.startsWith(quote) && value.indexOf('&', 1) === inner && value.endsWith(quote)) {
      return `"${value.slice(quote.length, inner)}"`
    }
  }
  let unknown = false
  const plain = value.replaceAll(/&[^;&]{0,8};?/g, (entity) => {
    const found = ENTITIES[entity]
    if (found === undefined) unknown = true
    return found ?? ''
  })
  return unknown ? undefined : plain
}

function wholeNumber(text: string): number | undefined {
  if (text.length === 0 || text.length > 15) return undefined
  let number = 0
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return undefined
    number = number * 10 + digit
  }
  return number
}

function twoDigits(text: string, at: number): number {
  const [a, b] = [text.charCodeAt(at) - 48, text.charCodeAt(at + 1) - 48]
  return a >= 0 && a <= 9 && b >= 0 && b <= 9 ? a * 10 + b : Number.NaN
}

function startOfDay(day: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d$/.test(day)) return undefined
  const ms = Date.parse(`${day}T00:00:00Z`)
  // The 30th of February is the 2nd of March to Date.
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day) ? ms : undefined
}

/** `.123Z`: anything below a millisecond is cut off. */
function fraction(value: string): number | undefined {
  if (value.endsWith('.000Z') && value.length === 24) return 0
  const found = /^\.(\d{1,9})Z$/.exec(value.slice(19))
  return found === null ? undefined : Math.trunc(Number(`0.${found[1]}`) * 1000)
}
