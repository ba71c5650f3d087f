import * as http from 'node:http'
import * as https from 'node:https'
import { Readable } from 'node:stream'
import { firstEvent } from '../first-event.ts'
import type { Agents } from './agent.ts'
import { markStale } from './attempts.ts'
import { carriedOptions } from './carried-options.ts'
import { receiveBody, type Sink } from './receive.ts'
import { TransportError } from './transport-error.ts'

/** A write larger than this is cut up, so that a stalled peer is noticed and TLS does not copy all of it at once. */
const SLICE_BYTES = 256 * 1024

/** The part of the SDK's request that goes to the wire. */
export interface WireRequest {
  protocol: string
  hostname: string
  port?: number | undefined
  method: string
  path: string
  query?: Record<string, string | string[] | null> | undefined
  headers: Record<string, string>
  body?: unknown
}

export interface WireResponse {
  statusCode: number
  reason?: string | undefined
  headers: Record<string, string>
  body: unknown
}

export interface HandleOptions {
  abortSignal?: unknown
  /** Where the body of a GET goes. Without it the body is collected for the SDK to parse. */
  sink?: Sink | undefined
}

export interface WireHandler {
  metadata: { handlerProtocol: string }
  handle(request: WireRequest, options?: HandleOptions): Promise<{ response: WireResponse }>
  destroy(): void
  updateHttpClientConfig(): void
  httpHandlerConfigs(): Record<string, never>
}

/**
 * Sends the SDK's signed requests over node:http(s), one attempt each. Rejects when `timeoutMs` pass without any
 * progress: no byte of ours taken, no head, no byte of the body. Bodies of answers are complete when it resolves.
 */
export function wireHandler(agents: Agents, options: { timeoutMs: number }): WireHandler {
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: (request, handleOptions = {}) =>
      exchange(agents, request, carriedOptions(request) ?? handleOptions, options.timeoutMs),
    destroy: () => agents.close(),
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  }
}

function exchange(
  agents: Agents,
  request: WireRequest,
  options: HandleOptions,
  timeoutMs: number,
): Promise<{ response: WireResponse }> {
  const signal = options.abortSignal instanceof AbortSignal ? options.abortSignal : undefined
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const req = start(agents, request)
    let over = false
    const end = (settle: () => void) => {
      if (over) return
      over = true
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      settle()
    }
    const fail = (error: unknown) =>
      end(() => {
        req.destroy()
        reject(error)
      })
    const onAbort = () => fail(signal?.reason)
    const timer = setTimeout(
      () => fail(new TransportError('timeout', `no answer for ${timeoutMs / 1000} s`)),
      timeoutMs,
    )
    const alive = () => void timer.refresh()
    signal?.addEventListener('abort', onAbort, { once: true })
    req.on('error', (error) => fail(markReused(error, req)))
    req.on('response', (res) => {
      alive()
      receiveBody(res, { sink: options.sink, method: request.method, alive }).then(
        (body) =>
          end(() => {
            // Answered before all was sent (an early refusal): the rest stays here, so the connection is of no use.
            if (!req.writableEnded) req.destroy()
            resolve({ response: answer(res, body) })
          }),
        fail,
      )
    })
    sendBody(req, request.body, { alive, isOver: () => over }).catch(fail)
  })
}

function start(agents: Agents, request: WireRequest): http.ClientRequest {
  const secure = request.protocol === 'https:'
  const port = request.port ?? (secure ? 443 : 80)
  const target = new URL(`${request.protocol}//${request.hostname}:${port}`)
  const route = agents.routeTo(target)
  const path = request.path + queryString(request.query)
  const authorization = route.absolute?.proxyAuthorization
  return (secure ? https : http).request({
    agent: route.agent,
    host: request.hostname.replace(/^\[|\]$/g, ''),
    port,
    method: request.method,
    path: route.absolute === undefined ? path : `${target.protocol}//${target.host}${path}`,
    headers:
      authorization === undefined
        ? request.headers
        : { ...request.headers, 'proxy-authorization': authorization },
    setHost: !('host' in request.headers),
  })
}

async function sendBody(
  req: http.ClientRequest,
  body: unknown,
  about: { alive: () => void; isOver: () => boolean },
): Promise<void> {
  if (body instanceof Readable) {
    for await (const chunk of body) if (!(await writeSlices(req, chunk, about))) return
  } else if (typeof body === 'string' || body instanceof Uint8Array) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    if (bytes.length <= SLICE_BYTES) return void req.end(bytes)
    if (!(await writeSlices(req, bytes, about))) return
  }
  req.end()
}

/** false: the request ended meanwhile (refused early, failed, aborted), the rest need not be sent. */
async function writeSlices(
  req: http.ClientRequest,
  bytes: Uint8Array,
  about: { alive: () => void; isOver: () => boolean },
): Promise<boolean> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (about.isOver() || req.destroyed) return false
    if (!req.write(bytes.subarray(at, at + SLICE_BYTES))) await firstEvent([req, 'drain'], [req, 'close'])
    about.alive()
  }
  return !about.isOver() && !req.destroyed
}

/** A kept-alive connection that the server had just closed: nothing was asked yet, so asking again is free. */
function markReused(error: Error, req: http.ClientRequest): Error {
  return req.reusedSocket ? markStale(error) : error
}

function answer(res: http.IncomingMessage, body: unknown): WireResponse {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(res.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return { statusCode: res.statusCode ?? 0, reason: res.statusMessage, headers, body }
}

function queryString(query: WireRequest['query']): string {
  const parts: string[] = []
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      parts.push(one === null ? encodeSegment(name) : `${encodeSegment(name)}=${encodeSegment(one)}`)
    }
  }
  return parts.length === 0 ? '' : `?${parts.join('&')}`
}

function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}
