const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/'

/** A value is text, a nested element, or a list that repeats the element; undefined leaves it out. */
export type XmlValue = string | number | boolean | undefined | XmlNode | XmlNode[] | string[]
export interface XmlNode {
  [name: string]: XmlValue
}

/** An S3 answer document. Error documents carry no namespace, as S3's do not. */
export function writeXml(root: string, content: XmlNode): Buffer {
  const namespace = root === 'Error' ? '' : ` xmlns="${NAMESPACE}"`
  return Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${namespace}>${children(content)}</${root}>`,
  )
}

function children(node: XmlNode): string {
  let out = ''
  for (const name of Object.keys(node)) {
    const value = node[name]
    if (Array.isArray(value)) for (const item of value) out += element(name, item)
    else if (value !== undefined) out += element(name, value)
  }
  return out
}

function element(name: string, value: Exclude<XmlValue, undefined | XmlNode[] | string[]>): string {
  return `<${name}>${typeof value === 'object' ? children(value) : escapeText(String(value))}</${name}>`
}

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escapeText(text: string): string {
  // XML 1.0 has no place for most control characters; S3 writes them as character references all the same.
  return text.replace(
    /[&<>"\p{Cc}\ufffe\uffff]/gu,
    (c) => ENTITIES[c] ?? `&#x${c.charCodeAt(0).toString(16)};`,
  )
}
