import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { type Certificate, makeCertificate } from '../../../src/devserver/certificate.ts'
import type { GotBytes } from '../../../src/s3/store.ts'
import { openWire } from '../../../src/s3/wire/open-wire.ts'
import type { PoolOptions } from '../../../src/s3/wire/pool.ts'
import type { WireStore, WireTarget } from '../../../src/s3/wire/types.ts'
import type { Cleanup } from '../../support/tmp.ts'

export interface RawRequest {
  /** 'GET /b/key HTTP/1.1' and the headers, as they came */
  head: string
  /** Value of a header, '' where it is missing. */
  header(name: string): string
  body: Buffer
  socket: Socket
  /** Which connection it came by, from 0, and its place on that one and of all. */
  connection: number
  onConnection: number
  index: number
}

export interface RawServer {
  port: number
  requests: RawRequest[]
  /** Connections so far, and those that are open. */
  connections: number
  open: Set<Socket>
  certificate: Certificate | undefined
  target(changed?: Partial<WireTarget>): WireTarget
  openWire(changed?: Partial<WireTarget>, options?: PoolOptions): WireStore
}

export interface RawOptions {
  tls?: boolean
  /** Writes whatever it likes to the socket. */
  answer(request: RawRequest): void | Promise<void>
  /** Called when the head is there, before the body; true: the body is not read, `answer` is called at once. */
  early?(head: string): boolean
  /** Called for each connection. */
  greet?(socket: Socket): void
}

let begins = false

/** From now on every GET of this process is begun without a promise: it has to keep the same promises. */
export function beginGets(): void {
  begins = true
}

/** getInto() by beginGet(). */
export function beginning(wire: WireStore): WireStore {
  return {
    ...wire,
    getInto: (request, into, call = {}) =>
      new Promise((resolve, reject) => {
        const trouble = (rest: () => Promise<GotBytes>) => void rest().then(resolve, reject)
        wire.beginGet?.(request, into, call, { done: resolve, trouble })
      }),
  }
}

/** A server that keeps no rule of HTTP but those that `answer` keeps. */
export async function rawServer(t: Cleanup, options: RawOptions): Promise<RawServer> {
  const certificate = options.tls ? makeCertificate() : undefined
  const server =
    certificate === undefined
      ? createServer(serve)
      : createTlsServer({ ...certificate, noDelay: true }, serve)
  const wires: WireStore[] = []
  server.on('tlsClientError', () => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const raw: RawServer = {
    port,
    requests: [],
    connections: 0,
    open: new Set(),
    certificate,
    target: (changed = {}) => ({
      url: 's3://b',
      bucket: 'b',
      endpoint: `http://127.0.0.1:${port}`,
      secure: options.tls === true,
      host: '127.0.0.1',
      port,
      authority: `127.0.0.1:${port}`,
      base: '/b/',
      region: 'us-east-1',
      credentials: undefined,
      clockOffset: 0,
      headers: {},
      noChecksums: false,
      ca: certificate === undefined ? undefined : [certificate.cert],
      rejectUnauthorized: true,
      timeoutMs: 5000,
      retries: 3,
      ...changed,
    }),
    openWire(changed, wireOptions) {
      const wire = openWire(raw.target(changed), wireOptions)
      wires.push(wire)
      return begins ? beginning(wire) : wire
    },
  }
  t.after(async () => {
    for (const wire of wires) wire.close()
    for (const socket of raw.open) socket.destroy()
    await new Promise((done) => server.close(done))
  })

  function serve(socket: Socket): void {
    const connection = raw.connections++
    let onConnection = 0
    let bytes = Buffer.alloc(0)
    socket.setNoDelay(true)
    raw.open.add(socket)
    options.greet?.(socket)
    socket.on('close', () => raw.open.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      for (;;) {
        const end = bytes.indexOf('\r\n\r\n')
        if (end < 0) return
        const head = bytes.toString('latin1', 0, end)
        const header = (name: string) => new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim() ?? ''
        const length = Number(header('content-length') || 0)
        const early = options.early?.(head) === true
        if (!early && bytes.length < end + 4 + length) return
        const body = bytes.subarray(end + 4, end + 4 + length)
        bytes = bytes.subarray(early ? bytes.length : end + 4 + length)
        const index = raw.requests.length
        const request = { head, header, body, socket, connection, onConnection: onConnection++, index }
        raw.requests.push(request)
        void options.answer(request)
      }
    })
  }
  return raw
}

/** A whole answer with a body. */
export function ok(
  body: Uint8Array | string,
  headers: Record<string, string | number> = {},
  status = '200 OK',
): Buffer {
  const bytes = Buffer.from(body)
  const lines = Object.entries({ 'Content-Length': bytes.length, ETag: '"e"', ...headers })
  const head = `HTTP/1.1 ${status}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), bytes])
}

/** The answer to a GET with a Range out of `object`, or without one. */
export function rangeOf(request: RawRequest, object: Uint8Array): Buffer {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.header('range'))
  if (range === null) return ok(object)
  const [first, last] = [Number(range[1]), Number(range[2])]
  const part = object.subarray(first, last + 1)
  return ok(part, { 'Content-Range': `bytes ${first}-${last}/${object.length}` }, '206 Partial Content')
}
