import type { WireHandler, WireResponse } from './handler.ts'
import type { Ordinary } from './ordinary.ts'
import type { Sink } from './receive.ts'
import { Refusal } from './refusal.ts'
import type { ChecksumFields } from './verify.ts'
import { encodeComponent, encodeKey } from './wire/encode-key.ts'
import { authorization, EMPTY_SHA256, openSigV4 } from './wire/sigv4.ts'
import { HandOver } from './wire/types.ts'
import { LATER } from './wire/unwanted.ts'

/** What no other way of asking would change. */
const PLAIN_REFUSALS = new Set(['ExpiredToken', 'InvalidAccessKeyId', 'NoSuchBucket'])

/** A GET of one object, or of a page of a listing. */
export type Question =
  | { kind: 'object'; key: string; checksum: boolean }
  | { kind: 'list'; query: Readonly<Record<string, string>> }

/** The object is there; or it is not, as S3 says it. */
export type LightAnswer = { found: true; etag: string; sums: ChecksumFields } | { found: false }

/**
 * Documents and listings of an ordinary bucket without the SDK, whose loading and first steps cost a command 80 ms:
 * signed here, sent by the same handler, retried by the same rules. It understands two answers: the thing, and that
 * there is no such object. A Refusal is worth another attempt, or final whoever asks; undefined is everything else,
 * which the SDK lane has to ask for once more, learn from or explain.
 */
export interface LightLane {
  ask(
    question: Question,
    options: { abortSignal?: AbortSignal | undefined; sink: Sink },
  ): Promise<LightAnswer | undefined>
}

export function openLightLane(target: Ordinary, handler: WireHandler): LightLane {
  const { credentials, region } = target
  const at = credentials === undefined ? undefined : openSigV4(region, credentials)
  return {
    async ask(question, options) {
      const request = requestOf(question, target, at)
      if (request === undefined) return undefined
      const { response } = await handler.handle(request, options)
      return answerOf(response, question)
    },
  }
}

/** undefined: it can't be said in a request. */
function requestOf(question: Question, target: Ordinary, at: ReturnType<typeof openSigV4> | undefined) {
  const { authority, base, credentials, host, port, secure } = target
  const headers: Record<string, string> = { ...target.headers, host: authority }
  if (credentials?.sessionToken !== undefined) headers['x-amz-security-token'] = credentials.sessionToken
  if (question.kind === 'object' && question.checksum) headers['x-amz-checksum-mode'] = 'ENABLED'
  let path = base
  let query = ''
  try {
    if (question.kind === 'object') path += encodeKey(question.key)
    else query = canonicalQuery(question.query)
  } catch (error) {
    if (error instanceof HandOver) return undefined
    throw error
  }
  if (at !== undefined && credentials !== undefined) {
    const moment = at(Date.now())
    headers['x-amz-content-sha256'] = EMPTY_SHA256
    headers['x-amz-date'] = moment.date
    const sorted = Object.keys(headers).sort()
    const lines = sorted.map((name) => `${name}:${headers[name]}\n`).join('')
    const names = sorted.join(';')
    const canonical = `GET\n${path}\n${query}\n${lines}\n${names}\n${EMPTY_SHA256}`
    headers.authorization = authorization(credentials, moment, { canonical, names })
  }
  headers['user-agent'] = 'longshore'
  const protocol = secure ? 'https:' : 'http:'
  return {
    protocol,
    hostname: host,
    port,
    method: 'GET',
    path: query === '' ? path : `${path}?${query}`,
    headers,
  }
}

function canonicalQuery(query: Readonly<Record<string, string>>): string {
  const names = Object.keys(query).sort()
  return names.map((name) => `${name}=${encodeComponent(query[name] ?? '')}`).join('&')
}

function answerOf({ statusCode, headers, body }: WireResponse, question: Question): LightAnswer | undefined {
  if (statusCode === 200) {
    const sums: ChecksumFields = {
      ChecksumCRC32: headers['x-amz-checksum-crc32'],
      ChecksumCRC32C: headers['x-amz-checksum-crc32c'],
      ChecksumCRC64NVME: headers['x-amz-checksum-crc64nvme'],
      ChecksumSHA1: headers['x-amz-checksum-sha1'],
      ChecksumSHA256: headers['x-amz-checksum-sha256'],
      ChecksumType: headers['x-amz-checksum-type'],
    }
    return { found: true, etag: headers.etag ?? '', sums }
  }
  const code = codeOf(body)
  if (statusCode === 404 && question.kind === 'object' && code === 'NoSuchKey') return { found: false }
  if (!LATER.has(statusCode) && !PLAIN_REFUSALS.has(code)) return undefined
  throw new Refusal(statusCode, code, { retryAfter: headers['retry-after'] })
}

/** S3's own, of an error in XML; '' where there is none. */
function codeOf(body: unknown): string {
  if (!Buffer.isBuffer(body)) return ''
  return /<Code>([A-Za-z0-9.]{1,80})<\/Code>/.exec(body.toString('latin1'))?.[1] ?? ''
}
