import { errorCode } from '../../fs/error-code.ts'
import { CONNECT_MS, IDLE_MS } from '../patience.ts'
import { openAddresses, type Resolve } from './addresses.ts'
import { Connection, type Owner } from './connection.ts'
import { type Dialler, openDialler } from './dial.ts'
import type { Exchange } from './exchange.ts'
import { openPeers } from './peers.ts'
import { openPipeline, type Pipeline } from './pipeline.ts'
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
  /** A light exchange would be asked behind another now. */
  readonly asksAhead: boolean
  /** Settles the exchange, sooner or later. */
  run(exchange: Exchange): void
  /** Ends what is idle now, and the rest after its answer. */
  retire(): void
  /** Ends all; what is on the way rejects with the reason. */
  close(reason: unknown): void
}

export interface PoolOptions {
  /** Another way from the host's name to its addresses. */
  resolve?: Resolve | undefined
  /** Another judge of whether requests are asked behind others. */
  pipeline?: Pipeline | undefined
}

export function openPool(target: WireTarget, options: PoolOptions = {}): Pool {
  const addresses = openAddresses(target.host, options.resolve)
  const peers = openPeers()
  const pipeline = options.pipeline ?? openPipeline()
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
    answered(connection, exchange, { head: { keepAliveMs }, behind, well }) {
      const { body, length, light } = exchange.ask
      const ms = performance.now() - exchange.started
      if (body === undefined) peers.record(length, ms)
      if (light) {
        pipeline.answered(ms, behind)
        if (behind) exchange.ask.call.onBehind?.()
        if (well && exchange.doubt === 'ended') pipeline.askedAgain()
        if (well && exchange.doubt === 'odd') pipeline.misled()
      }
      // A second before the server would, so that its good-bye does not cross a request.
      const told = keepAliveMs === undefined ? IDLE_MS : Math.max(keepAliveMs - 1000, keepAliveMs / 2)
      connection.keepMs = Math.min(told, habitMs, MAX_IDLE_MS)
      if (retired && connection.exchange === undefined) connection.end(undefined)
      else if (connection.phase === 'idle') idle.push(connection)
    },
    get proven() {
      return pipeline.proven
    },
    misled: () => pipeline.misled(),
    gone(connection, exchange, error, rest) {
      all.delete(connection)
      const at = idle.indexOf(connection)
      if (at >= 0) idle.splice(at, 1)
      if (all.size === 0) stop()
      for (const one of rest) askAgain(one)
      if (exchange === undefined) {
        if (rest.length > 0) return
        // Ended by the server although it was idle: the others go before they are as old.
        if (error !== undefined && connection.quiet > LEARN_MS) {
          habitMs = Math.min(habitMs, connection.quiet * 0.75)
        }
        return
      }
      if (connection.opened || !exchange.open || !isUnreached(error)) exchange.fail(error)
      else {
        addresses.avoid(connection.dial.address)
        dial(exchange, error)
      }
    },
  }

  /** By itself: the connection that it was on with others ended, and not by its fault. */
  const askAgain = (exchange: Exchange) => {
    exchange.carrier = undefined
    exchange.alone = true
    exchange.started = 0
    if (closed !== undefined || !exchange.open) return exchange.fail(closed?.reason)
    exchange.ask.call.onRequest?.('GET')
    run(exchange)
  }

  const sweep = () => {
    const now = performance.now()
    // Time in which this thread did something else is not the server's: it was not listened to.
    owner.clock += Math.min(now - swept, 2 * SWEEP_MS)
    swept = now
    pipeline.look()
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
    if (closed !== undefined) return exchange.fail(closed.reason)
    if (exchange.settled) return
    requests++
    if (pipeline.on && exchange.ask.light && !exchange.alone) {
      const busy = withRoom()
      if (busy !== undefined) return busy.follow(exchange)
    }
    for (let one = idle.pop(); one !== undefined; one = idle.pop()) {
      if (one.usable()) {
        one.send(exchange)
        return
      }
      one.end(undefined)
    }
    dial(exchange, undefined)
  }

  /** The first, whichever it is: as few connections as can be, so that each has much to do at once. */
  const withRoom = (): Connection | undefined => {
    for (const one of all) if (one.hasRoom) return one
    return undefined
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
    get asksAhead() {
      return pipeline.on && withRoom() !== undefined
    },
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
