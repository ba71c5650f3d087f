import { hash } from 'node:crypto'
import { crcBase64 } from '../../checksum/crc32.ts'
import { encodeComponent, encodeKey } from './encode-key.ts'
import { EMPTY_SHA256, openSigV4 } from './sigv4.ts'
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

type Slot =
  | 'content-length'
  | 'if-match'
  | 'range'
  | 'x-amz-checksum-crc32'
  | 'x-amz-content-sha256'
  | 'x-amz-date'

type Values = Partial<Record<Slot, string>>

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
  const shapes = new Map<string, Shape>()
  const shapeOf = (id: string, extra: Readonly<Record<string, string>>, slots: readonly Slot[]): Shape => {
    let shape = shapes.get(id)
    if (shape === undefined) {
      const signed: Slot[] = at === undefined ? [] : ['x-amz-content-sha256', 'x-amz-date']
      shape = makeShape({ ...fixed, ...extra }, [...slots, ...signed])
      shapes.set(id, shape)
    }
    return shape
  }

  const headOf = (method: string, path: string, query: string, shape: Shape, values: Values): string => {
    const start = `${method} ${path}${query === '' ? '' : `?${query}`} HTTP/1.1\r\n`
    if (credentials === undefined || at === undefined) {
      return `${start}${render(shape.head, shape.slots, values)}${end}`
    }
    const moment = at(Date.now() + target.clockOffset)
    values['x-amz-date'] = moment.date
    const signature = moment.sign(
      `${method}\n${path}\n${query}\n${render(shape.canonical, shape.slots, values)}\n${shape.names}\n${values['x-amz-content-sha256']}`,
    )
    return (
      `${start}${render(shape.head, shape.slots, values)}authorization: AWS4-HMAC-SHA256 ` +
      `Credential=${credentials.accessKeyId}/${moment.scope}, SignedHeaders=${shape.names}, Signature=${signature}\r\n${end}`
    )
  }

  return {
    get({ key, range, etag, versionId }) {
      const values: Values = { 'x-amz-content-sha256': EMPTY_SHA256 }
      const slots: Slot[] = []
      if (range !== undefined) {
        const { first, last } = range
        if (!isCount(first) || !isCount(last) || last < first) throw new HandOver('an odd range')
        values.range = `bytes=${first}-${last}`
        slots.push('range')
      }
      if (etag !== undefined && etag !== '') {
        if (!VALUE.test(etag)) throw new HandOver('the form of an ETag')
        values['if-match'] = etag
        slots.push('if-match')
      }
      const mode = range === undefined && !noChecksums ? WITH_CHECKSUM : {}
      const shape = shapeOf(`GET ${slots.join(' ')}`, mode, slots)
      const query = versionId === undefined ? '' : `versionId=${encodeComponent(versionId)}`
      return headOf('GET', base + encodeKey(key), query, shape, values)
    },

    put({ key, uploadId, partNumber, body, crc32 }) {
      if (!isCount(partNumber)) throw new HandOver('an odd part number')
      const values: Values = {
        'content-length': String(body.length),
        // TLS and the CRC guard the bytes; where either is missing, their hash under the signature does.
        'x-amz-content-sha256':
          secure && !noChecksums ? 'UNSIGNED-PAYLOAD' : at === undefined ? '' : hash('sha256', body),
      }
      const slots: Slot[] = ['content-length']
      if (!noChecksums) {
        values['x-amz-checksum-crc32'] = crcBase64(crc32)
        slots.push('x-amz-checksum-crc32')
      }
      const query = `partNumber=${partNumber}&uploadId=${encodeComponent(uploadId)}`
      return headOf('PUT', base + encodeKey(key), query, shapeOf('PUT', {}, slots), values)
    },
  }
}

const WITH_CHECKSUM = { 'x-amz-checksum-mode': 'ENABLED' }

/** The headers of one kind of request, sorted, with gaps for what changes: gap i stands after text i. */
interface Shape {
  slots: readonly Slot[]
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
  return {
    slots: slots.toSorted(),
    canonical: render(':', '\n'),
    head: render(': ', '\r\n'),
    names: names.join(';'),
  }
}

function render(texts: readonly string[], slots: readonly Slot[], values: Values): string {
  let text = texts[0] ?? ''
  for (let i = 0; i < slots.length; i++) {
    const slot = slots[i]
    if (slot !== undefined) text += (values[slot] ?? '') + (texts[i + 1] ?? '')
  }
  return text
}

function isCount(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0
}
