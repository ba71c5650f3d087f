/**
 * Keys of objects as relative paths, one to one. A key that is a safe path already stays as it is; what a
 * filesystem or a shell would misread is escaped:
 *
 *   `%XX`     control characters, a leading `~`, `.` and `..`, and a `%` that would read as an escape
 *   `%uXXXX`  half a surrogate pair (not UTF-8: the filesystem would replace it)
 *   `%-`      an empty segment (`a//b`, `/a`, `a/`)
 *   `…%+/…`   a name longer than the filesystem takes, continued in a folder
 */

/** bytes; NAME_MAX of every Linux filesystem that matters */
const NAME_BYTES = 255
/** bytes of one piece of an over-long name, so that a suffix still fits */
const PIECE_BYTES = 230

/** Under the u flag \p{Cs} is half a pair only. */
const UNSAFE = /\p{Cc}|\p{Cs}|%(?=[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[-+])/gu

/** ASCII names that need no escape, none of them over-long: nearly every key there is, told at a glance. */
const PLAIN = /^[ -$&-\-0-}][ -$&-.0-~]{0,254}(?:\/[ -$&-\-0-}][ -$&-.0-~]{0,254})*$/

/**
 * The relative path of a key: no segment is empty, `.` or `..`, or longer than `maxNameBytes` (default 255).
 * Never absolute. Two keys never share a path, but one's file can be another's folder (`a`, `a/b`): KEY_CONFLICT
 * is for the caller, who sees all keys.
 */
export function keyToPath(key: string, options: { maxNameBytes?: number } = {}): string {
  const limit = options.maxNameBytes ?? NAME_BYTES
  if (limit === NAME_BYTES && PLAIN.test(key)) return key
  return key
    .split('/')
    .map((segment) => segmentToPath(segment, limit))
    .join('/')
}

/** The key of a path that keyToPath made. */
export function pathToKey(path: string): string {
  if (!path.includes('%')) return path
  let key = ''
  let join = ''
  for (const name of path.split('/')) {
    const continued = name.endsWith('%+')
    key += join + unescapeName(continued ? name.slice(0, -2) : name)
    join = continued ? '' : '/'
  }
  return key
}

function segmentToPath(segment: string, limit: number): string {
  const whole = escapeName(segment)
  if (Buffer.byteLength(whole) <= limit) return whole
  const pieces: string[] = []
  let piece = ''
  let bytes = 0
  for (const char of segment) {
    // An escape is at most 6 bytes a character, whatever stands beside it.
    const cost = Math.max(Buffer.byteLength(escapeName(char)), char === '%' ? 3 : 0)
    if (bytes + cost > PIECE_BYTES) {
      pieces.push(piece)
      piece = ''
      bytes = 0
    }
    piece += char
    bytes += cost
  }
  pieces.push(piece)
  return pieces.map((p, i) => escapeName(p) + (i < pieces.length - 1 ? '%+' : '')).join('/')
}

function escapeName(name: string): string {
  if (name === '') return '%-'
  if (name === '.') return '%2E'
  if (name === '..') return '%2E%2E'
  const escaped = name.replaceAll(UNSAFE, (c) => {
    const unit = c.charCodeAt(0)
    if (unit > 0xff) return `%u${unit.toString(16).toUpperCase()}`
    return percent(unit)
  })
  return escaped.startsWith('~') ? `${percent(0x7e)}${escaped.slice(1)}` : escaped
}

function percent(unit: number): string {
  return `%${unit.toString(16).toUpperCase().padStart(2, '0')}`
}

function unescapeName(name: string): string {
  if (name === '%-') return ''
  return name.replaceAll(/%u([0-9A-Fa-f]{4})|%([0-9A-Fa-f]{2})/g, (_, wide?: string, narrow?: string) =>
    String.fromCharCode(Number.parseInt(wide ?? narrow ?? '', 16)),
  )
}
