import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { TransportError } from './transport-error.ts'

/** Answers that the SDK parses (listings, errors) are never larger than this; S3's own are below 2 MiB. */
const MAX_PARSED_BYTES = 32 * 1024 * 1024

/** Where the body of a successful GET goes, and what it must be. */
export interface Sink {
  /** Filled exactly, or the request fails. */
  into?: Uint8Array | undefined
  /** Set: `into` is this range of an object of `size` bytes; not set: the whole object. */
  range?: { offset: number; size: number } | undefined
  /** Without `into`: collected here, up to this many bytes. */
  maxBytes?: number | undefined
  bytes?: Buffer | undefined
  /** Instead of the others: given a successful XML answer; true when the SDK need not parse it. */
  parse?: ((body: Buffer) => boolean) | undefined
}

/**
 * The body of one answer. With a sink a success goes there and an empty stream goes to the SDK; anything else is
 * collected and looked at first: S3 may say <Error> under a 200, and what is no S3 may say anything.
 */
export async function receiveBody(
  res: IncomingMessage,
  about: { sink?: Sink | undefined; method: string; alive: () => void },
): Promise<unknown> {
  const { sink, method, alive } = about
  const status = res.statusCode ?? 0
  if (sink !== undefined && sink.parse === undefined && (status === 200 || status === 206)) {
    if (sink.into !== undefined) await fill(res, sink.into, sink.range, alive)
    else sink.bytes = await collect(res, sink.maxBytes ?? MAX_PARSED_BYTES, alive)
    return Readable.from([])
  }
  const body = await collect(res, MAX_PARSED_BYTES, alive)
  // HEAD has no body to judge by; 1xx-3xx other than 200 are judged by their status.
  if (method === 'HEAD' || body.length === 0) return body
  const text = body.subarray(0, 512).toString('latin1').trimStart()
  if (/^(<\?xml[^>]*\?>\s*)?<Error[\s>]/.test(text)) {
    if (status < 300) res.statusCode = 503
    return trimmed(body)
  }
  const isXml = text.startsWith('<') && !/^<(!doctype\s+html|html)/i.test(text)
  if (isXml && status < 300) {
    const xml = trimmed(body)
    return sink?.parse?.(xml) ? Buffer.alloc(0) : xml
  }
  throw new TransportError('foreign', summary(status, res.headers['content-type'], text), { status })
}

async function fill(
  res: IncomingMessage,
  into: Uint8Array,
  range: Sink['range'],
  alive: () => void,
): Promise<void> {
  checkHead(res, into.length, range)
  let at = 0
  await drain(res, alive, (chunk) => {
    if (at + chunk.length > into.length)
      throw new TransportError('changed', 'the object is longer than listed')
    into.set(chunk, at)
    at += chunk.length
  })
  if (at < into.length)
    throw new TransportError('short', `the body ended after ${at} of ${into.length} bytes`)
}

function checkHead(res: IncomingMessage, wanted: number, range: Sink['range']): void {
  const length = res.headers['content-length']
  if (range === undefined) {
    if (length !== undefined && Number(length) !== wanted) {
      throw new TransportError('changed', `it has ${length} bytes now, ${wanted} when listed`)
    }
    return
  }
  const found = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(res.headers['content-range'] ?? '')
  if (res.statusCode !== 206 || found === null) {
    throw new TransportError('unranged', 'the server ignored the Range that was asked for')
  }
  const [, first, last, total] = found
  if (total !== '*' && Number(total) !== range.size) {
    throw new TransportError('changed', `it has ${total} bytes now, ${range.size} when listed`)
  }
  if (Number(first) !== range.offset || Number(last) !== range.offset + wanted - 1) {
    throw new TransportError(
      'unranged',
      `the server sent bytes ${first}-${last} instead of what was asked for`,
    )
  }
}

async function collect(res: IncomingMessage, maxBytes: number, alive: () => void): Promise<Buffer> {
  const chunks: Buffer[] = []
  let total = 0
  await drain(res, alive, (chunk) => {
    total += chunk.length
    if (total > maxBytes) throw new TransportError('large', `more than ${maxBytes} bytes`)
    chunks.push(chunk)
  })
  return Buffer.concat(chunks, total)
}

/** Every chunk to `take`; a throw in it ends the connection. Nothing is taken after this has settled. */
function drain(res: IncomingMessage, alive: () => void, take: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    let settled = false
    const settle = (error?: unknown) => {
      if (settled) return
      settled = true
      res.removeListener('data', onData)
      if (error === undefined) return resolve()
      res.destroy()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      if (settled) return
      alive()
      try {
        take(chunk)
      } catch (error) {
        settle(error)
      }
    }
    res.on('data', onData)
    res.on('end', () => settle(res.complete ? undefined : cut()))
    res.on('error', (error) =>
      settle(new TransportError('short', 'the connection broke in the body', { cause: error })),
    )
    // An Error costs a stack trace, and every answer closes: made only when it is needed.
    res.on('close', () => {
      if (!settled) settle(cut())
    })
  })
}

function cut(): TransportError {
  return new TransportError('short', 'the connection broke in the body')
}

/** CompleteMultipartUpload sends blanks while it works; the XML declaration must come first for a parser. */
function trimmed(body: Buffer): Buffer {
  let at = 0
  while (at < body.length && (body[at] ?? 0) <= 0x20) at++
  return at === 0 ? body : body.subarray(at)
}

function summary(status: number, type: string | undefined, text: string): string {
  const start = JSON.stringify(text.replaceAll(/\s+/g, ' ').slice(0, 60))
  return `answered ${status} with ${type ?? 'no content type'}: ${start}`
}
