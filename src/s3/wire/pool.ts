import { errorCode } from '../../fs/error-code.ts'
import { CONNECT_MS, IDLE_MS } from '../patience.ts'
import { openAddresses, type Resolve } from './addresses.ts'
import { Connection, type Owner } from './connection.ts'
import { type Dialler, openDialler } from './dial.ts'
import type { Exchange } from './exchange.ts'
import { openPeers } from './peers.ts'
import type { WireTarget } from './types.ts'

/** ms to connect while there are other addresses to try */
const NEXT_ADDRESS_MS = 2500
const MAX_IDLE_MS = 60_000
/** Connections that end sooner are a restart of the server, not its habit. */
const LEARN_MS = 1000
const SWEEP_MS = 250
const SCRATCH_BYTES = 64 * 1024
/** Of so many requests one may be sent a second time, and so many at a time. */
const REQUESTS_A_RACE = 50
const MAX_RACES = 2
/** A second request has a buffer that no budget knows of. */
const MAX_RACE_BYTES = 16 * 1024 * 1024

/** Kept-alive connections to one server, as many as there are requests: the engine's concurrency is the limit. */
export interface Pool {
  /** Settles the exchange, sooner or later. */
  run(exchange: Exchange): void
  /** Ends what is idle now, and the rest after its answer. */
  retire(): void
  /** Ends all; what is on the way rejects with the reason. */
  close(reason: unknown): void
}

export function openPool(target: WireTarget, options: { resolve?: Resolve | undefined } = {}): Pool {
  const addresses = openAddresses(target.host, options.resolve)
  const peers = openPeers()
  const all = new Set<Connection>()
  const idle: Connection[] = []
  /** Waiting for an address. */
  const waiting = new Set<Exchange>()
  let dialler: Dialler | undefined
  let timer: NodeJS.Timeout | undefined
  let swept = 0
  let habitMs = IDLE_MS
  let retired = false
  let closed: { reason: unknown } | undefined
  let requests = 0
  let races = 0
  let racing = 0

  const owner: Owner & { clock: number } = {
    clock: 0,
    scratch: Buffer.allocUnsafeSlow(SCRATCH_BYTES),
    timeoutMs: target.timeoutMs,
    answered(connection, exchange, { keepAliveMs }) {
      const { body, length } = exchange.ask
      if (body === undefined) peers.record(length, performance.now() - exchange.started)
      // A second before the server would, so that its good-bye does not cross a request.
      const told = keepAliveMs === undefined ? IDLE_MS : Math.max(keepAliveMs - 1000, keepAliveMs / 2)
      connection.keepMs = Math.min(told, habitMs, MAX_IDLE_MS)
      if (retired) connection.end(undefined)
      else if (connection.phase === 'idle') idle.push(connection)
    },
    gone(connection, exchange, error) {
      all.delete(connection)
      const at = idle.indexOf(connection)
      if (at >= 0) idle.splice(at, 1)
      if (all.size === 0) stop()
      if (exchange === undefined) {
        // Ended by the server although it was idle: the others go before they are as old.
        if (error !== undefined && connection.quiet > LEARN_MS) {
          habitMs = Math.min(habitMs, connection.quiet * 0.75)
        }
        return
      }
      if (connection.opened || exchange.cancelled || !isUnreached(error)) exchange.fail(error)
      else {
        addresses.avoid(connection.dial.address)
        dial(exchange, error)
      }
    },
  }

  const sweep = () => {
    const now = performance.now()
    // Time in which this thread did something else is not the server's: it was not listened to.
    owner.clock += Math.min(now - swept, 2 * SWEEP_MS)
    swept = now
    for (const connection of all) {
      const { exchange } = connection
      if (exchange !== undefined && exchange.started > 0) hurry(exchange, now)
      connection.check()
    }
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }

  /** Sends a GET of the slow tail a second time. */
  const hurry = (exchange: Exchange, now: number) => {
    const { body, length, call, window } = exchange.ask
    if (body !== undefined || length > MAX_RACE_BYTES || window?.once) return
    if (exchange.second !== undefined || exchange.racer) return
    if (now - exchange.started < peers.limit(length)) return
    if (racing >= MAX_RACES || (races + 1) * REQUESTS_A_RACE > requests) return
    races++
    racing++
    call.onRequest?.('GET')
    exchange.race(run, () => {
      racing--
    })
  }

  const run = (exchange: Exchange) => {
    if (closed !== undefined) exchange.fail(closed.reason)
    if (exchange.settled) return
    requests++
    for (let one = idle.pop(); one !== undefined; one = idle.pop()) {
      if (one.usable()) {
        one.send(exchange)
        return
      }
      one.end(undefined)
    }
    dial(exchange, undefined)
  }

  const dial = (exchange: Exchange, before: unknown) => {
    const tried = exchange.tried ?? new Set()
    exchange.tried = tried
    waiting.add(exchange)
    addresses.next(tried).then(
      (found) => {
        if (!waiting.delete(exchange) || exchange.settled) return
        if (found === undefined) exchange.fail(before)
        else {
          tried.add(found.address)
          connect(exchange, found)
        }
      },
      (error) => {
        waiting.delete(exchange)
        exchange.fail(error)
      },
    )
  }

  const connect = (exchange: Exchange, { address, last }: { address: string; last: boolean }) => {
    const withinMs = Math.min(last ? CONNECT_MS : NEXT_ADDRESS_MS, target.timeoutMs)
    try {
      dialler ??= openDialler(target)
      all.add(new Connection(owner, { address, withinMs }, dialler, exchange))
    } catch (error) {
      exchange.fail(error)
    }
    if (timer !== undefined) return
    swept = performance.now()
    timer = setInterval(sweep, SWEEP_MS).unref()
  }

  return {
    run,
    retire() {
      retired = true
      for (const one of [...idle]) one.end(undefined)
    },
    close(reason) {
      closed = { reason }
      for (const one of [...all]) one.end(reason)
      for (const exchange of waiting) exchange.fail(reason)
      waiting.clear()
      stop()
    },
  }
}

const UNREACHED = new Set([
  'ECONNREFUSED',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
])

/** Nobody took the connection there, which says nothing about the host's other addresses. */
function isUnreached(error: unknown): boolean {
  const code = errorCode(error)
  return code !== undefined && UNREACHED.has(code)
}
