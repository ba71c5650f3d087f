import { readFileSync } from 'node:fs'
import * as http from 'node:http'
import * as https from 'node:https'
import * as net from 'node:net'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { CONNECT_MS, IDLE_MS } from './patience.ts'
import { proxyFor } from './proxy.ts'

/** Longest head of a proxy's answer to CONNECT, bytes. */
const MAX_PROXY_HEAD = 64 * 1024

export interface AgentOptions {
  env: NodeJS.ProcessEnv
  caBundle?: string | undefined
  noVerifySsl: boolean
  /** ms for connecting to a proxy and its answer */
  timeoutMs: number
}

export interface Route {
  agent: http.Agent
  /** Plain http by a proxy: requests are asked with the absolute URL, and these headers. */
  absolute?: { proxyAuthorization: string | undefined }
}

interface Trust {
  ca?: string[]
}

/** The agents a store's requests go through; one per proxy and scheme, kept alive. */
export interface Agents {
  /** Certificates in PEM that are trusted instead of node's own list; undefined: node's own. */
  readonly ca: readonly string[] | undefined
  routeTo(target: URL): Route
  close(): void
}

export function openAgents(options: AgentOptions): Agents {
  const trust = trustOf(options)
  const routes = new Map<string, Route>()
  return {
    ca: trust.ca,
    routeTo(target) {
      const known = routes.get(target.origin)
      if (known !== undefined) return known
      const route = makeRoute(target, options, trust)
      routes.set(target.origin, route)
      return route
    },
    close() {
      for (const { agent } of routes.values()) agent.destroy()
    },
  }
}

function makeRoute(target: URL, options: AgentOptions, trust: Trust): Route {
  // No limit here: the engine's concurrency is the limit, and a queue behind it could only deadlock.
  const common = {
    keepAlive: true,
    timeout: IDLE_MS,
    maxSockets: Number.POSITIVE_INFINITY,
    maxFreeSockets: 256,
  }
  const proxy = proxyFor(target, options.env)
  const verify = { ...checkedBy(trust, target, proxy), rejectUnauthorized: !options.noVerifySsl }
  if (target.protocol === 'https:') {
    const agent = new https.Agent({ ...common, ...verify })
    if (proxy !== undefined) dialBy(agent, (done) => tunnel({ proxy, target, verify, options }, done))
    else limitConnecting(agent, 'secureConnect', options)
    return { agent }
  }
  const agent = new http.Agent(common)
  if (proxy === undefined) {
    limitConnecting(agent, 'connect', options)
    return { agent }
  }
  dialBy(agent, (done) => done(undefined, dialProxy(proxy, verify)))
  return { agent, absolute: { proxyAuthorization: authorizationOf(proxy) } }
}

/** Made once: node would parse every authority again for each new connection, 10 ms and more of CPU with a bundle. */
function checkedBy(trust: Trust, ...urls: (URL | undefined)[]): tls.TLSSocketOptions {
  const secure = urls.some((url) => url?.protocol === 'https:')
  return secure ? { secureContext: tls.createSecureContext(trust) } : {}
}

type Dialled = (error: Error | undefined, socket?: Duplex) => void

/** An agent asks its createConnection for each new socket; it may answer later, by the callback. */
function dialBy(agent: http.Agent, dial: (done: Dialled) => void): void {
  const create = (_options: unknown, done: Dialled): undefined => {
    dial(done)
  }
  Object.assign(agent, { createConnection: create })
}

/** Once a connection, not once a request. */
function limitConnecting(agent: http.Agent, connected: string, options: AgentOptions): void {
  const dial: unknown = Reflect.get(agent, 'createConnection')
  if (typeof dial !== 'function') return
  const ms = Math.min(CONNECT_MS, options.timeoutMs)
  const create = (...args: unknown[]): unknown => {
    const socket: unknown = dial.apply(agent, args)
    if (!(socket instanceof net.Socket)) return socket
    // Made when it is needed: an error's stack keeps whatever called, and a socket keeps the first request's for good.
    const late = () =>
      Object.assign(new Error(`no connection in ${ms / 1000} s`), { code: 'ETIMEDOUT', syscall: 'connect' })
    const timer = setTimeout(() => socket.destroy(late()), ms)
    const clear = () => clearTimeout(timer)
    socket.once(connected, clear)
    socket.once('close', clear)
    return socket
  }
  Object.assign(agent, { createConnection: create })
}

function dialProxy(proxy: URL, verify: tls.ConnectionOptions): net.Socket {
  const host = proxy.hostname.replace(/^\[|\]$/g, '')
  const port = Number(proxy.port || (proxy.protocol === 'https:' ? 443 : 80))
  if (proxy.protocol === 'http:') return net.connect({ host, port })
  return tls.connect({ ...verify, host, port, servername: net.isIP(host) === 0 ? host : '' })
}

/** CONNECT host:port, then TLS with the target inside the tunnel: the proxy sees names and sizes, no requests. */
function tunnel(
  about: { proxy: URL; target: URL; verify: tls.ConnectionOptions; options: AgentOptions },
  done: Dialled,
): void {
  const { proxy, target, verify, options } = about
  const host = target.hostname.replace(/^\[|\]$/g, '')
  const authority = `${target.hostname}:${target.port || 443}`
  const authorization = authorizationOf(proxy)
  const socket = dialProxy(proxy, verify)
  let head = ''
  const finish = (error: Error | undefined) => {
    socket.removeListener('data', onData)
    socket.removeListener('error', finish)
    socket.removeListener('close', onClose)
    socket.setTimeout(0)
    if (error !== undefined) {
      socket.destroy()
      return done(error)
    }
    done(undefined, tls.connect({ ...verify, socket, servername: net.isIP(host) === 0 ? host : '' }))
  }
  const onClose = () => finish(proxyError(proxy, 'closed the connection'))
  const onData = (chunk: Buffer) => {
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end < 0 && head.length <= MAX_PROXY_HEAD) return
    const status = /^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]
    if (status === '200' && end + 4 === head.length) return finish(undefined)
    const what = status === '407' ? 'wants other credentials' : `answered ${status ?? 'nonsense'}`
    finish(proxyError(proxy, `${what} to CONNECT ${authority}`))
  }
  socket.on('data', onData)
  socket.on('error', finish)
  socket.on('close', onClose)
  socket.setTimeout(options.timeoutMs, () =>
    finish(Object.assign(proxyError(proxy, 'does not answer'), { code: 'ETIMEDOUT' })),
  )
  const auth = authorization === undefined ? '' : `Proxy-Authorization: ${authorization}\r\n`
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${auth}\r\n`)
}

function proxyError(proxy: URL, what: string): Error {
  return Object.assign(new Error(`the proxy ${proxy.host} ${what}`), { code: 'ELONGSHOREPROXY' })
}

function authorizationOf(proxy: URL): string | undefined {
  if (proxy.username === '') return undefined
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  return `Basic ${Buffer.from(pair).toString('base64')}`
}

/**
 * A bundle replaces the public authorities, as it does for the aws CLI: who names one means that one, and node's 150
 * cost 40 ms of CPU to parse, in each thread. What the process was told to trust besides still holds.
 */
function trustOf(options: AgentOptions): Trust {
  if (options.caBundle === undefined) return {}
  const extra = options.env.NODE_EXTRA_CA_CERTS
  const files = [options.caBundle, ...(extra ? [extra] : [])]
  return { ca: files.map(readBundle) }
}

function readBundle(path: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new LongshoreError('BAD_CONFIG', `${path}: the CA bundle can't be read (${errorCode(error)})`, {
      path,
      hint: 'name a PEM file with --ca-bundle',
      cause: error,
    })
  }
  if (text.includes('-----BEGIN')) return text
  throw new LongshoreError('BAD_CONFIG', `${path}: no certificate in this CA bundle`, {
    path,
    hint: 'name a PEM file with --ca-bundle',
  })
}
