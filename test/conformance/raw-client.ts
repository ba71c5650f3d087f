import { createHash, createHmac } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'
import type { Target } from './target.ts'

export interface RawRequest {
  method?: string
  key?: string
  query?: Record<string, string>
  headers?: Record<string, string>
  body?: Uint8Array | string
  /** Value of x-amz-content-sha256; default the body's hash. */
  payloadHash?: string
  /** Clock of the signature, ms. */
  now?: number
  /** Last look at the head before it goes out: where a test tampers with it. */
  tamper?: (headers: Record<string, string>) => void
  unsigned?: boolean
  /** `bucket.<domain>` in Host, and only the key in the path. */
  virtualHost?: boolean
  /** Makes the body from the request's signature: signed chunks. */
  sealBody?: (seal: Seal) => Uint8Array
}

export interface RawAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** <Code> of an error document. */
  code: string
}

/** What chunk signatures are made with. */
export interface Seal {
  key: Buffer
  date: string
  scope: string
  signature: string
}

export interface RawClient {
  send(request: RawRequest): Promise<RawAnswer>
  close(): void
}

/** Requests byte by byte as the test wants them, signed here and not by the SDK: a second opinion about SigV4. */
export function openClient(target: Target): RawClient {
  const url = new URL(target.endpoint)
  const secure = url.protocol === 'https:'
  const agent = secure
    ? new TlsAgent({ keepAlive: target.keepAlive ?? true, ca: target.ca, maxSockets: 32 })
    : new Agent({ keepAlive: target.keepAlive ?? true, maxSockets: 32 })
  return {
    send(asked) {
      const method = asked.method ?? 'GET'
      const path = `/${asked.virtualHost ? '' : `${target.bucket}${asked.key === undefined ? '' : '/'}`}${escapePath(asked.key ?? '')}`
      const query = Object.entries(asked.query ?? {})
        .map(([name, value]) => `${escapeText(name)}=${escapeText(value)}`)
        .sort()
        .join('&')
      const host = asked.virtualHost
        ? `${target.bucket}.${target.domain ?? 's3.localhost'}:${url.port}`
        : url.host
      const date = new Date(asked.now ?? Date.now()).toISOString().replace(/[-:]|\.\d+/g, '')
      const payloadHash = asked.payloadHash ?? sha256(asked.body ?? '')
      const headers: Record<string, string> = {
        host,
        'x-amz-date': date,
        'x-amz-content-sha256': payloadHash,
        ...asked.headers,
      }
      const seal = sign({ method, path, query, headers, payloadHash, date, target })
      if (!asked.unsigned) headers.authorization = seal.authorization
      const body = asked.sealBody === undefined ? Buffer.from(asked.body ?? '') : asked.sealBody(seal)
      if (body.length > 0 || method === 'PUT') headers['content-length'] ??= String(body.length)
      asked.tamper?.(headers)
      const options = {
        agent,
        method,
        host: url.hostname,
        port: url.port,
        path: query === '' ? path : `${path}?${query}`,
        headers,
        ca: target.ca,
        timeout: 20_000,
      }
      return new Promise((resolve, reject) => {
        const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const bytes = Buffer.concat(chunks)
            const code = /<Code>([^<]*)<\/Code>/.exec(bytes.toString('latin1'))?.[1] ?? ''
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: bytes, code })
          })
        })
        request.on('timeout', () => request.destroy(new Error('no answer')))
        request.on('error', reject)
        request.end(body)
      })
    },
    close: () => agent.destroy(),
  }
}

interface ToSign {
  method: string
  path: string
  query: string
  headers: Record<string, string>
  payloadHash: string
  date: string
  target: Target
}

function sign({
  method,
  path,
  query,
  headers,
  payloadHash,
  date,
  target,
}: ToSign): Seal & { authorization: string } {
  const names = Object.keys(headers).sort()
  const lines = names.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, ' ')}\n`).join('')
  const canonical = [method, path, query, lines, names.join(';'), payloadHash].join('\n')
  const scope = `${date.slice(0, 8)}/${target.region}/s3/aws4_request`
  let key = Buffer.from(`AWS4${target.secretAccessKey}`)
  for (const step of scope.split('/')) key = createHmac('sha256', key).update(step).digest()
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${sha256(canonical)}`)
  const authorization = `AWS4-HMAC-SHA256 Credential=${target.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  return { key, date, scope, signature, authorization }
}

/** An aws-chunked body. With `seal` each chunk is signed; with `trailers` those follow the last. */
export function chunkedBody(
  chunks: readonly Uint8Array[],
  { seal, trailers }: { seal?: Seal; trailers?: Record<string, string> } = {},
): Buffer {
  const out: Buffer[] = []
  let previous = seal?.signature ?? ''
  for (const chunk of [...chunks, Buffer.alloc(0)]) {
    let line = chunk.length.toString(16)
    if (seal !== undefined) {
      previous = hmac(
        seal.key,
        `AWS4-HMAC-SHA256-PAYLOAD\n${seal.date}\n${seal.scope}\n${previous}\n${sha256('')}\n${sha256(chunk)}`,
      )
      line += `;chunk-signature=${previous}`
    }
    out.push(Buffer.from(`${line}\r\n`), Buffer.from(chunk))
    if (chunk.length > 0) out.push(Buffer.from('\r\n'))
  }
  const lines = Object.entries(trailers ?? {}).map(([name, value]) => `${name}:${value}`)
  if (seal !== undefined && trailers !== undefined) {
    const hash = sha256(lines.map((line) => `${line}\n`).join(''))
    const signature = hmac(
      seal.key,
      `AWS4-HMAC-SHA256-TRAILER\n${seal.date}\n${seal.scope}\n${previous}\n${hash}`,
    )
    lines.push(`x-amz-trailer-signature:${signature}`)
  }
  out.push(Buffer.from(lines.map((line) => `${line}\r\n`).join('')), Buffer.from('\r\n'))
  return Buffer.concat(out)
}

function hmac(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

function escapeText(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function escapePath(key: string): string {
  return escapeText(key).replaceAll('%2F', '/')
}
