import { createHash } from 'node:crypto'
import { s3Failure } from './failure.ts'
import { hmacHex, type Signed, sameHex } from './verify-signature.ts'

export interface ChunkedOptions {
  /** Chunks (and the trailer) are signed: the chain starts at the request's own signature. */
  signed: Signed | undefined
  /** A trailer is announced: its lines follow the last chunk. */
  trailer: boolean
}

const EMPTY = createHash('sha256').digest('hex')
const MAX_LINE = 4096
const MAX_CHUNK = 16 * 1024 * 1024 * 1024

/**
 * The `aws-chunked` coding ("Signature calculations for the authorization header: transferring payload in multiple
 * chunks", S3 API reference): `hex-size[;chunk-signature=…]\r\n bytes \r\n`, a chunk of size 0, then trailer lines.
 * Yields the decoded bytes as they come; returns the trailer. Each signature is checked when its chunk is whole.
 */
export async function* decodeChunked(
  source: AsyncIterable<Buffer>,
  { signed, trailer }: ChunkedOptions,
): AsyncGenerator<Buffer, Map<string, string>> {
  let rest: Buffer = Buffer.alloc(0)
  const incoming = source[Symbol.asyncIterator]()

  async function more(): Promise<void> {
    const next = await incoming.next()
    if (next.done) throw s3Failure('IncompleteBody', 'The request body terminated unexpectedly')
    rest = rest.length === 0 ? next.value : Buffer.concat([rest, next.value])
  }
  async function line(): Promise<string> {
    for (;;) {
      const end = rest.indexOf('\r\n')
      if (end !== -1) {
        const text = rest.toString('latin1', 0, end)
        rest = rest.subarray(end + 2)
        return text
      }
      if (rest.length > MAX_LINE) throw malformed()
      await more()
    }
  }

  let previous = signed?.signature ?? ''
  for (;;) {
    const match = /^([0-9a-fA-F]{1,9})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(await line())
    if (match === null || (match[2] !== undefined) !== (signed !== undefined)) throw malformed()
    const size = Number.parseInt(match[1] ?? '', 16)
    if (size > MAX_CHUNK) throw malformed()
    const hash = signed === undefined ? undefined : createHash('sha256')
    for (let owed = size; owed > 0; ) {
      if (rest.length === 0) await more()
      const piece = rest.subarray(0, owed)
      rest = rest.subarray(piece.length)
      owed -= piece.length
      hash?.update(piece)
      yield piece
    }
    if (signed !== undefined && hash !== undefined) {
      previous = expectSignature(
        signed,
        `AWS4-HMAC-SHA256-PAYLOAD\n${signed.date}\n${signed.scope}\n${previous}\n${EMPTY}\n${hash.digest('hex')}`,
        match[2],
      )
    }
    if (size === 0) break
    if ((await line()) !== '') throw malformed()
  }

  const trailers = new Map<string, string>()
  let signedText = ''
  for (let text = await line(); text !== ''; text = await line()) {
    const colon = text.indexOf(':')
    if (!trailer || colon < 1) throw malformedTrailer()
    const name = text.slice(0, colon).trim().toLowerCase()
    const value = text.slice(colon + 1).trim()
    if (name !== 'x-amz-trailer-signature') signedText += `${name}:${value}\n`
    trailers.set(name, value)
  }
  if (signed !== undefined && trailer) {
    const digest = createHash('sha256').update(signedText, 'latin1').digest('hex')
    expectSignature(
      signed,
      `AWS4-HMAC-SHA256-TRAILER\n${signed.date}\n${signed.scope}\n${previous}\n${digest}`,
      trailers.get('x-amz-trailer-signature'),
    )
  }
  trailers.delete('x-amz-trailer-signature')
  // What follows the coding's end belongs to nobody.
  if (rest.length > 0 || !(await incoming.next()).done) throw malformed()
  return trailers
}

function expectSignature(signed: Signed, toSign: string, given: string | undefined): string {
  const signature = hmacHex(signed.key, toSign)
  if (given === undefined || !sameHex(signature, given))
    throw s3Failure(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    )
  return signature
}

function malformed(): Error {
  return s3Failure('InvalidRequest', 'The aws-chunked body is not well-formed.')
}

function malformedTrailer(): Error {
  return s3Failure('MalformedTrailerError', 'The request contained trailing data that was not well-formed.')
}
