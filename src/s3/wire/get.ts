import { crc32, crcBase64 } from '../../checksum/crc32.ts'
import { bareEtag } from '../etag.ts'
import type { CallOptions, Check, GetRequest, GotBytes } from '../store.ts'
import { checksumsOf, verifyBytes } from '../verify.ts'
import { type Answer, Exchange } from './exchange.ts'
import type { Head } from './head.ts'
import type { Pool } from './pool.ts'
import type { Signer } from './sign.ts'
import { HandOver, type Window } from './types.ts'
import { unwanted } from './unwanted.ts'

/** Longer answers have their connections to themselves: others would wait for them. */
const LIGHT_BYTES = 64 * 1024

/** A CRC-32 in base64; "-N" behind it is a sum of sums. */
const SUM = /^[A-Za-z0-9+/]{6}==$/

/** One attempt: the bytes of `request` into their place, and what the answer's head said. */
export function sendGet(
  to: { pool: Pool; signer: Signer },
  request: GetRequest,
  place: Uint8Array | Window,
  call: CallOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    startGet(to, request, place, { call, resolve, reject })
  })
}

/** The same without a promise. Throws, before anything is sent, what can't be said in a request (HandOver). */
export function startGet(
  to: { pool: Pool; signer: Signer },
  request: GetRequest,
  place: Uint8Array | Window,
  about: {
    call: CallOptions
    resolve: (answer: Answer) => void
    reject: (error: unknown) => void
    /** The first attempt: it may share a connection with others. */
    first?: boolean
  },
): void {
  const { key, offset, etag, versionId, sum = false } = request
  const { length } = place
  const range = isAskedWhole(request, place) ? undefined : { first: offset, last: offset + length - 1 }
  const head = to.signer.get({ key, range, etag, versionId })
  const judge = (answer: Head) => judgeGet(answer, request, place)
  const window = place instanceof Uint8Array ? undefined : place
  const into = place instanceof Uint8Array ? place : place.memory
  const light = about.first === true && window === undefined && isLight(etag, length)
  const ask = { head, body: undefined, length, into, window, sum, light, judge, call: about.call }
  to.pool.run(new Exchange(ask, about.resolve, about.reject))
}

/** It may be asked behind others: it keeps none waiting for long, and its ETag tells that an answer is its own. */
export function isLight(etag: string, length: number): boolean {
  return etag !== '' && length <= LIGHT_BYTES
}

/** Size 0 goes without a Range: it would be answered 416. */
export function isWhole(request: GetRequest, { length }: { length: number }): boolean {
  return request.offset === 0 && length === request.size
}

/** A window's bytes are used up before a checksum could tell: all of an object is asked for as its range then. */
function isAskedWhole(request: GetRequest, place: { length: number }): boolean {
  return place instanceof Uint8Array && isWhole(request, place)
}

/** Which check the bytes pass by the head they came with; undefined: they fail the server's own checksum. */
export function checkGot(answer: Answer, request: GetRequest, into: Uint8Array): GotBytes | undefined {
  const { etag, sums } = answer.head
  const taken = answer.crc32
  if (!isWhole(request, into)) return got(etag, 'size', taken)
  const { ChecksumCRC32: kept, ChecksumType: type } = sums
  if (kept !== undefined && type !== 'COMPOSITE' && SUM.test(kept)) {
    const crc = taken ?? crc32(into)
    return crcBase64(crc) === kept ? { etag, check: 'crc32', crc32: crc } : undefined
  }
  const check = verifyBytes(into, checksumsOf(sums))
  return check === undefined ? undefined : got(etag, check, taken)
}

function got(etag: string, check: Check, crc: number | undefined): GotBytes {
  return crc === undefined ? { etag, check } : { etag, check, crc32: crc }
}

/** An answer is not what its status claims only because If-Match was sent with the request. */
function judgeGet(head: Head, request: GetRequest, into: { length: number }): Error | undefined {
  const { range } = head
  const whole = isAskedWhole(request, into)
  if (head.status !== (whole ? 200 : 206)) {
    return head.status === 200 || head.status === 206 ? new HandOver('an unasked range') : unwanted(head)
  }
  if (head.chunked) return new HandOver('chunked')
  if (head.length === undefined) return new HandOver('no length')
  if (head.length !== into.length) return new HandOver('another length')
  if (whole) {
    if (range !== undefined) return new HandOver('an unasked range')
  } else if (range === undefined) return new HandOver('no range')
  else if (range.total !== request.size) return new HandOver('another size')
  else if (range.first !== request.offset || range.last !== request.offset + into.length - 1) {
    return new HandOver('another range')
  }
  if (request.etag !== '' && head.etag !== request.etag && bareEtag(head.etag) !== bareEtag(request.etag)) {
    return new HandOver('another ETag')
  }
  return undefined
}
