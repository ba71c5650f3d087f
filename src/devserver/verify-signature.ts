import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { s3Failure } from './failure.ts'
import type { Credentials } from './types.ts'

/** What the chunk signatures of a streamed body are chained to. */
export interface Signed {
  key: Buffer
  date: string
  scope: string
  signature: string
}

export interface SignatureOptions {
  credentials: readonly Credentials[]
  anonymous: boolean
  region: string | undefined
}

const MAX_SKEW_MS = 15 * 60_000
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{64})$/
/** Headers S3 does not insist on having under the signature, though they begin with x-amz-. */
const MAY_BE_UNSIGNED = new Set(['x-amz-content-sha256'])

/**
 * Signature Version 4 in the Authorization header ("Authenticating Requests: Using the Authorization Header",
 * S3 API reference). Returns undefined for an anonymous request where those are allowed.
 */
export function verifySignature(
  request: { method: string; path: string; query: ReadonlyMap<string, string>; headers: IncomingHttpHeaders },
  options: SignatureOptions,
): Signed | undefined {
  const { headers, query } = request
  const authorization = headers.authorization
  if (authorization === undefined) {
    if (query.has('X-Amz-Signature')) throw s3Failure('NotImplemented', 'Presigned URLs are not taken here.')
    if (options.anonymous) return undefined
    throw s3Failure('AccessDenied', 'Access Denied')
  }
  const match = AUTHORIZATION.exec(authorization)
  const [, credential = '', signedHeaders = '', signature = ''] = match ?? []
  const [accessKeyId, day = '', region = '', service, terminator, ...rest] = credential.split('/')
  if (match === null || service !== 's3' || terminator !== 'aws4_request' || rest.length > 0)
    throw s3Failure('AuthorizationHeaderMalformed', 'The authorization header is malformed.')
  if (options.region !== undefined && region !== options.region)
    throw s3Failure(
      'AuthorizationHeaderMalformed',
      `The authorization header is malformed; the region '${region}' is wrong; expecting '${options.region}'`,
      { Region: options.region },
    )
  const known = options.credentials.find((c) => c.accessKeyId === accessKeyId)
  if (known === undefined)
    throw s3Failure(
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      {
        AWSAccessKeyId: accessKeyId ?? '',
      },
    )
  if (known.sessionToken !== undefined && headers['x-amz-security-token'] !== known.sessionToken)
    throw s3Failure('InvalidToken', 'The provided token is malformed or otherwise invalid.')

  const date = requestDate(headers, day)
  if (headers['x-amz-content-sha256'] === undefined)
    throw s3Failure('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256')

  const names = signedHeaders.split(';')
  const listed = new Set(names)
  const loose = Object.keys(headers).find(
    (name) => name.startsWith('x-amz-') && !listed.has(name) && !MAY_BE_UNSIGNED.has(name),
  )
  if (!listed.has('host') || loose !== undefined)
    throw s3Failure('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: loose ?? 'host',
    })

  const scope = `${day}/${region}/s3/aws4_request`
  const canonical = canonicalRequest(request, names, signedHeaders)
  const toSign = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`
  const key = signingKey(known.secretAccessKey, day, region)
  if (!sameHex(hmacHex(key, toSign), signature))
    throw s3Failure(
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
      {
        AWSAccessKeyId: known.accessKeyId,
        StringToSign: toSign,
        SignatureProvided: signature,
        CanonicalRequest: canonical,
      },
    )
  return { key, date, scope, signature }
}

export function hmacHex(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text, 'latin1').digest('hex')
}

export function sameHex(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

function requestDate(headers: IncomingHttpHeaders, day: string): string {
  const amz = headers['x-amz-date']
  const text = typeof amz === 'string' ? amz : isoBasic(headers.date)
  const parts = text === undefined ? null : /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (text === undefined || parts === null || !text.startsWith(day))
    throw s3Failure('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header')
  const [year = 0, month = 0, dayOfMonth = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number)
  const time = Date.UTC(year, month - 1, dayOfMonth, hour, minute, second)
  if (Math.abs(Date.now() - time) > MAX_SKEW_MS)
    throw s3Failure(
      'RequestTimeTooSkewed',
      'The difference between the request time and the current time is too large.',
      {
        RequestTime: text,
        ServerTime: new Date().toISOString(),
        MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS),
      },
    )
  return text
}

function isoBasic(date: string | undefined): string | undefined {
  const time = date === undefined ? Number.NaN : Date.parse(date)
  return Number.isNaN(time) ? undefined : new Date(time).toISOString().replace(/[-:]|\.\d+/g, '')
}

function canonicalRequest(
  request: { method: string; path: string; query: ReadonlyMap<string, string>; headers: IncomingHttpHeaders },
  names: readonly string[],
  signedHeaders: string,
): string {
  const query = [...request.query]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
  let headers = ''
  for (const name of names) {
    const value = request.headers[name]
    headers += `${name}:${(Array.isArray(value) ? value.join(',') : (value ?? '')).trim().replace(/ +/g, ' ')}\n`
  }
  const path = encode(request.path).replaceAll('%2F', '/')
  return `${request.method}\n${path}\n${query}\n${headers}\n${signedHeaders}\n${request.headers['x-amz-content-sha256']}`
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

const keys = new Map<string, Buffer>()

/** The same for a day: worth keeping, it is four HMACs. */
function signingKey(secret: string, day: string, region: string): Buffer {
  const id = `${secret}/${day}/${region}`
  const cached = keys.get(id)
  if (cached !== undefined) return cached
  let key = Buffer.from(`AWS4${secret}`)
  for (const step of [day, region, 's3', 'aws4_request'])
    key = createHmac('sha256', key).update(step).digest()
  if (keys.size > 100) keys.clear()
  keys.set(id, key)
  return key
}

/** Node hands header bytes over as latin1 characters: hashing them as such hashes the bytes that were sent. */
function sha256(text: string): string {
  return createHash('sha256').update(text, 'latin1').digest('hex')
}
