import { s3Failure } from './failure.ts'

/** An element with either text or child elements; attributes are read over. */
export interface XmlElement {
  name: string
  text: string
  children: XmlElement[]
}

const MAX_DEPTH = 8
const MARKUP =
  /<(?:\?[^>]*\?|!--[\s\S]*?--|(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?))>/y

/**
 * Reads the request documents S3 knows: elements, text, entities, comments. No DTD, no CDATA, no processing;
 * anything else, or a root of another name, is MalformedXML.
 */
export function parseXml(source: string, root: string): XmlElement {
  const top: XmlElement = { name: '', text: '', children: [] }
  const open: XmlElement[] = [top]
  let at = source.charCodeAt(0) === 0xfeff ? 1 : 0
  while (at < source.length) {
    const current = open.at(-1)
    if (current === undefined) throw malformed()
    if (source[at] !== '<') {
      const next = source.indexOf('<', at)
      const end = next === -1 ? source.length : next
      current.text += unescapeText(source.slice(at, end))
      at = end
      continue
    }
    MARKUP.lastIndex = at
    const match = MARKUP.exec(source)
    if (match === null) throw malformed()
    at = MARKUP.lastIndex
    const [, closing, qualified, , selfClosing] = match
    if (qualified === undefined) continue
    const name = qualified.slice(qualified.indexOf(':') + 1)
    if (closing === '/') {
      if (open.length < 2 || current.name !== name) throw malformed()
      open.pop()
      continue
    }
    const child: XmlElement = { name, text: '', children: [] }
    current.children.push(child)
    if (selfClosing !== '/') open.push(child)
    if (open.length > MAX_DEPTH) throw malformed()
  }
  const [document, ...rest] = top.children
  if (open.length !== 1 || document?.name !== root || rest.length > 0 || top.text.trim() !== '')
    throw malformed()
  return document
}

/** Text of the only child of that name; undefined when there is none. */
export function childText(element: XmlElement, name: string): string | undefined {
  const found = element.children.filter((c) => c.name === name)
  if (found.length > 1) throw malformed()
  return found[0]?.text
}

export function childrenOf(element: XmlElement, name: string): XmlElement[] {
  return element.children.filter((c) => c.name === name)
}

const NAMED: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function unescapeText(text: string): string {
  if (!text.includes('&')) return text
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(\w*));?/g, (whole, hex, decimal, name) => {
    if (!whole.endsWith(';')) throw malformed()
    if (name !== undefined) {
      const known = NAMED[name]
      if (known === undefined) throw malformed()
      return known
    }
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
    if (code > 0x10ffff) throw malformed()
    return String.fromCodePoint(code)
  })
}

function malformed(): Error {
  return s3Failure(
    'MalformedXML',
    'The XML you provided was not well-formed or did not validate against our published schema',
  )
}
