import { hash } from 'node:crypto'
import { crcBase64 } from '../../checksum/crc32.ts'
import { encodeComponent, encodeKey } from './encode-key.ts'
import { authorization, EMPTY_SHA256, type Moment, openSigV4 } from './sigv4.ts'
import { HandOver, type WireTarget } from './types.ts'

export interface GetHead {
  key: string
  /** First and last byte; undefined: the whole object, asked for without Range. */
  range?: { first: number; last: number } | undefined
  /** If-Match; '' or undefined: none */
  etag?: string | undefined
  versionId?: string | undefined
}

export interface PutHead {
  key: string
  uploadId: string
  partNumber: number
  /** Only its length, and over plain http its SHA-256, go into the head. */
  body: Uint8Array
  /** CRC-32 of the body. */
  crc32: number
}

/**
 * Complete heads of requests, from the method to the empty line, signed with Signature Version 4 for this very
 * second. ASCII only, so they may be written as latin1. What can't be said in a head is a HandOver.
 */
export interface Signer {
  /** Whole objects ask for the checksum that the server keeps. */
  get(request: GetHead): string
  put(request: PutHead): string
}

/** What may stand in a header's value without being another header, or another value once it is signed. */
const VALUE = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/
const NAME = /^[a-z0-9-]+$/

/** What changes from one request to the next. */
type Slot = 'content-length' | 'if-match' | 'range' | 'x-amz-checksum-crc32' | 'x-amz-content-sha256'

/** Throws HandOver for a target whose own words can't stand in a head. */
export function openSigner(target: WireTarget): Signer {
  const { base, authority, credentials, noChecksums, secure, region } = target
  const fixed: Record<string, string> = { ...target.headers, host: authority }
  if (credentials?.sessionToken !== undefined) fixed['x-amz-security-token'] = credentials.sessionToken
  for (const [name, value] of Object.entries(fixed)) {
    if (!NAME.test(name) || !VALUE.test(value)) throw new HandOver(`header ${JSON.stringify(name)}`)
  }
  if (!/^\/[\x21-\x7e]*$/.test(base)) throw new HandOver('a path of the endpoint')
  if (credentials !== undefined && !(VALUE.test(credentials.accessKeyId) && VALUE.test(region))) {
    throw new HandOver('the form of the credentials')
  }

  const at = credentials === undefined ? undefined : openSigV4(region, credentials)
  const end = 'user-agent: longshore\r\n\r\n'
  /** Of this second: its date is in their texts. */
  const shapes: (Shape | undefined)[] = []
  let moment: Moment | undefined
  /** The `id`th: what it is made of must depend on that alone. Values go into the slots in the order of their names. */
  const shapeOf = (id: number, extra: Readonly<Record<string, string>>, slots: readonly Slot[]): Shape => {
    const now = at?.(Date.now() + target.clockOffset)
    if (now !== moment) shapes.length = 0
    moment = now
    const known = shapes[id]
    if (known !== undefined) return known
    const signed: Record<string, string> = now === undefined ? {} : { 'x-amz-date': now.date }
    const made = makeShape({ ...fixed, ...extra, ...signed }, slots)
    shapes[id] = made
    return made
  }

  /** `hashed`: the body's hash, as it is in the head. */
  const signedHead = (
    method: string,
    { path, query }: { path: string; query: string },
    shape: Shape,
    { values, hashed }: { values: readonly string[]; hashed: string },
  ): string => {
    const target = query === '' ? path : `${path}?${query}`
    const head = `${method} ${target} HTTP/1.1\r\n${render(shape.head, values)}`
    if (credentials === undefined || moment === undefined) return head + end
    const { names } = shape
    const canonical = `${method}\n${path}\n${query}\n${render(shape.canonical, values)}\n${names}\n${hashed}`
    return `${head}authorization: ${authorization(credentials, moment, { canonical, names })}\r\n${end}`
  }
  const emptyHash: Record<string, string> = at === undefined ? {} : { 'x-amz-content-sha256': EMPTY_SHA256 }
  const emptyHashAndSum = { ...emptyHash, ...(noChecksums ? {} : { 'x-amz-checksum-mode': 'ENABLED' }) }
  const putSlots: Slot[] = ['content-length']
  if (!noChecksums) putSlots.push('x-amz-checksum-crc32')
  if (at !== undefined) putSlots.push('x-amz-content-sha256')

  return {
    get({ key, range, etag, versionId }) {
      const values: string[] = []
      const isTagged = etag !== undefined && etag !== ''
      if (range !== undefined) {
        const { first, last } = range
        if (!isCount(first) || !isCount(last) || last < first) throw new HandOver('an odd range')
      }
      if (isTagged) {
        if (!VALUE.test(etag)) throw new HandOver('the form of an ETag')
        values.push(etag)
      }
      if (range !== undefined) values.push(`bytes=${range.first}-${range.last}`)
      const path = base + encodeKey(key)
      const query = versionId === undefined ? '' : `versionId=${encodeComponent(versionId)}`
      const tag: Slot[] = isTagged ? ['if-match'] : []
      const shape =
        range === undefined
          ? shapeOf(isTagged ? 1 : 0, emptyHashAndSum, tag)
          : shapeOf(isTagged ? 3 : 2, emptyHash, [...tag, 'range'])
      return signedHead('GET', { path, query }, shape, { values, hashed: EMPTY_SHA256 })
    },

    put({ key, uploadId, partNumber, body, crc32 }) {
      if (!isCount(partNumber)) throw new HandOver('an odd part number')
      // TLS and the CRC guard the bytes; where either is missing, their hash under the signature does.
      const hashed =
        secure && !noChecksums ? 'UNSIGNED-PAYLOAD' : at === undefined ? '' : hash('sha256', body)
      const values = [String(body.length)]
      if (!noChecksums) values.push(crcBase64(crc32))
      if (at !== undefined) values.push(hashed)
      const path = base + encodeKey(key)
      const query = `partNumber=${partNumber}&uploadId=${encodeComponent(uploadId)}`
      return signedHead('PUT', { path, query }, shapeOf(4, {}, putSlots), { values, hashed })
    },
  }
}

/** The headers of one kind of request, sorted, with gaps for what changes: gap i stands after text i. */
interface Shape {
  canonical: readonly string[]
  head: readonly string[]
  names: string
}

function makeShape(fixed: Readonly<Record<string, string>>, slots: readonly Slot[]): Shape {
  const open = new Set<string>(slots)
  const names = [...new Set([...Object.keys(fixed), ...slots])].sort()
  const render = (between: string, end: string): string[] => {
    const texts: string[] = []
    let text = ''
    for (const name of names) {
      text += name + between
      if (open.has(name)) {
        texts.push(text)
        text = ''
      } else text += fixed[name]
      text += end
    }
    return [...texts, text]
  }
  return { canonical: render(':', '\n'), head: render(': ', '\r\n'), names: names.join(';') }
}

function render(texts: readonly string[], values: readonly string[]): string {
  let text = texts[0] ?? ''
  for (let i = 0; i < values.length; i++) text += (values[i] ?? '') + (texts[i + 1] ?? '')
  return text
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}
