import type { Socket } from 'node:net'
import { markStale } from '../attempts.ts'
import { TransportError } from '../transport-error.ts'
import { Body } from './body.ts'
import type { Dialler } from './dial.ts'
import type { Exchange } from './exchange.ts'
import type { Head } from './head.ts'
import { HeadReader } from './head-reader.ts'
import { hungUp, isLost, noConnection } from './lost.ts'
import { HandOver } from './types.ts'
import { drainable } from './unwanted.ts'

/** A TLS socket keeps a copy of all it is given: a slice at a time, and only when the one before is gone. */
const SLICE_BYTES = 256 * 1024

/** What all connections of a pool share. */
export interface Owner {
  /** ms; advanced by the sweep, by no more than the time in which the event loop turned */
  readonly clock: number
  /** Heads, bodies of refusals, and what nobody asked for; whatever is read into it is used up in the callback. */
  readonly scratch: Buffer
  readonly timeoutMs: number
  /** The answer is whole; the connection is idle, or ending when the answer says so. */
  answered(connection: Connection, exchange: Exchange, head: Head): void
  /** Closed. The exchange that was on it is the owner's to settle: nothing writes into its memory any more. */
  gone(connection: Connection, exchange: Exchange | undefined, error: unknown): void
}

export interface Dial {
  address: string
  /** ms until it is given up */
  withinMs: number
}

/**
 * 'body': the rest of the body lands where it will live. 'flush': the answer is whole, but the last bytes of the
 * request are still the kernel's. 'dead': only the socket's 'close' is awaited.
 */
type Phase = 'connecting' | 'idle' | 'head' | 'body' | 'drain' | 'flush' | 'dead'

/**
 * One socket, and the exchange on it. The view that node gets to read into is exactly the bytes still owed; when
 * none are owed it is the scratch, and a byte that lands there ends the socket.
 */
export class Connection {
  readonly dial: Dial
  phase: Phase = 'connecting'
  /** Requests could be sent. */
  opened = false
  /** ms it may be idle */
  keepMs = 0
  exchange: Exchange | undefined
  private readonly owner: Owner
  private readonly socket: Socket
  /** Of the owner's clock: connected, a slice sent, a byte received. */
  private alive: number
  private answers = 0
  private readonly body = new Body()
  private readonly reader = new HeadReader()
  private answer: Head | undefined
  private refused: Error | undefined
  /** Bytes of the request's body that the socket was given; `writing`: the last of them are not gone yet. */
  private given = 0
  private writing = false
  private asleep = false
  private error: unknown

  constructor(owner: Owner, dial: Dial, dialler: Dialler, exchange: Exchange) {
    this.owner = owner
    this.dial = dial
    this.alive = owner.clock
    this.exchange = exchange
    this.socket = dialler.open(dial.address, {
      // Asked for right after each callback: what an answer's last byte changes must be changed within it.
      buffer: () => this.place(),
      callback: (count) => this.take(count),
    })
    exchange.carrier = this
    this.socket.on(dialler.openedBy, () => {
      this.opened = true
      // Not the parameter: what one of these closures names, all of them keep as long as the socket lives, and this
      // one's memory with it.
      if (this.phase === 'connecting' && this.exchange !== undefined) this.start(this.exchange)
    })
    this.socket.on('error', (error) => this.end(error))
    this.socket.on('end', () => {
      // Before that it is node's to say what went wrong.
      if (this.phase !== 'connecting') this.end(hungUp(this.phase === 'body' || this.reader.hasBegun))
    })
    this.socket.on('close', () => this.close())
  }

  usable(): boolean {
    return this.phase === 'idle' && this.quiet <= this.keepMs
  }

  /** ms since anything happened on it */
  get quiet(): number {
    return this.owner.clock - this.alive
  }

  /** Only when usable. */
  send(exchange: Exchange): void {
    if (this.asleep) this.socket.ref()
    this.asleep = false
    this.exchange = exchange
    exchange.carrier = this
    this.start(exchange)
  }

  /** Drops the socket. The exchange on it is settled when the socket has closed, not before. */
  end(reason: unknown): void {
    if (this.phase === 'dead') return
    // Kept alive, and not a byte came back: it was most likely ended before the request.
    const stale = this.phase === 'head' && this.answers > 0 && !this.reader.hasBegun && isLost(reason)
    this.error = stale ? markStale(reason) : reason
    this.phase = 'dead'
    this.socket.destroy()
  }

  /** From the sweep: is it still getting on? */
  check(): void {
    const { owner, phase, dial, quiet } = this
    if (phase === 'idle') {
      if (quiet > this.keepMs) this.end(undefined)
      // No process stays for an idle connection.
      else if (!this.asleep) this.socket.unref()
      this.asleep = true
    } else if (phase === 'connecting') {
      if (quiet > dial.withinMs) this.end(noConnection(dial.withinMs))
    } else if (phase !== 'dead' && quiet > owner.timeoutMs) {
      this.end(new TransportError('timeout', `no answer for ${owner.timeoutMs / 1000} s`))
    }
  }

  private start(exchange: Exchange): void {
    this.alive = this.owner.clock
    this.phase = 'head'
    this.reader.reset()
    exchange.started = performance.now()
    this.socket.write(exchange.ask.head, 'latin1')
    this.given = 0
    if (exchange.ask.body !== undefined) this.push()
  }

  /** The next slice, when the last one is gone. */
  private readonly push = (error?: Error | null): void => {
    this.writing = false
    const body = this.exchange?.ask.body
    if (this.phase === 'dead' || error || body === undefined) return
    this.alive = this.owner.clock
    if (this.phase === 'flush') this.complete()
    else if (this.given < body.length) {
      const slice = body.subarray(this.given, this.given + SLICE_BYTES)
      this.given += slice.length
      this.writing = true
      this.socket.write(slice, this.push)
    }
  }

  /** Total, like take(): node would call it again, for ever, after a throw. */
  private place(): Uint8Array {
    const { scratch } = this.owner
    const { phase, body, exchange } = this
    try {
      if (phase === 'body' && exchange !== undefined) return body.place(exchange)
      if (phase === 'drain') return scratch.subarray(0, Math.min(body.owed, scratch.length))
    } catch (error) {
      // The memory was taken away, by a transfer to another thread.
      this.end(error)
    }
    return scratch
  }

  private take(count: number): boolean {
    try {
      const wrong = this.receive(count)
      if (wrong !== undefined) this.end(wrong)
    } catch (error) {
      this.end(error)
    }
    return true
  }

  /** What the connection must be ended for. */
  private receive(count: number): Error | undefined {
    this.alive = this.owner.clock
    const { phase } = this
    if (phase === 'head') return this.receiveHead(count)
    if (phase !== 'body' && phase !== 'drain') return new HandOver('bytes that nobody asked for')
    const { body, exchange } = this
    if (phase === 'body' && exchange !== undefined) body.keep(exchange, count)
    else body.drop(count)
    if (body.owed === 0) this.finish()
    return undefined
  }

  private receiveHead(count: number): Error | undefined {
    const head = this.reader.read(this.owner.scratch, count)
    if (head === undefined) return undefined
    return typeof head === 'string' ? new HandOver(head) : this.receiveAnswer(head, this.reader.bodyAt, count)
  }

  /** The body's first bytes lie in the scratch, from `start` to `end`. */
  private receiveAnswer(head: Head, start: number, end: number): Error | undefined {
    const { exchange } = this
    if (exchange === undefined) return new HandOver('an answer to nothing')
    const { body, judge } = exchange.ask
    const refused = judge(head)
    // The rest of what was refused early is not sent, so nothing can follow it here.
    if (body !== undefined && this.given < body.length) {
      return refused ?? new HandOver('an answer to half a request')
    }
    const length = refused === undefined ? exchange.ask.length : drainable(refused, head)
    if (length === undefined) return refused
    const here = end - start
    if (here > length) return refused ?? new HandOver('bytes after the answer')
    this.answer = head
    this.refused = refused
    this.body.begin(length)
    if (refused === undefined) this.body.copy(exchange, this.owner.scratch, start, end)
    else this.body.drop(here)
    this.phase = refused === undefined ? 'body' : 'drain'
    if (this.body.owed === 0) this.finish()
    return undefined
  }

  private finish(): void {
    if (this.writing) this.phase = 'flush'
    else this.complete()
  }

  private complete(): void {
    const { exchange, answer, refused } = this
    if (exchange === undefined || answer === undefined) return
    this.exchange = undefined
    this.answer = undefined
    this.answers++
    this.phase = 'idle'
    if (answer.close) this.end(undefined)
    this.owner.answered(this, exchange, answer)
    if (refused === undefined) exchange.done(answer)
    else exchange.fail(refused)
  }

  private close(): void {
    if (this.phase !== 'dead') this.end(hungUp(this.phase === 'body' || this.reader.hasBegun))
    const { exchange } = this
    this.exchange = undefined
    this.owner.gone(this, exchange, this.error)
  }
}
