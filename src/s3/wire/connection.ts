import type { Socket } from 'node:net'
import { markStale } from '../attempts.ts'
import { TransportError } from '../transport-error.ts'
import { Answers, type Line } from './answers.ts'
import { Behind } from './behind.ts'
import type { Dialler } from './dial.ts'
import type { Exchange } from './exchange.ts'
import type { Head } from './head.ts'
import { hungUp, isLost, noConnection } from './lost.ts'
import { Outgoing } from './outgoing.ts'

/** ms without a byte after which nothing more is asked on it */
const QUIET_MS = 500
/** ms until it is believed that a server never answers a request that was asked behind another */
const SILENT_MS = 2000

/** What all connections of a pool share. */
export interface Owner {
  /** ms; advanced by the sweep, by no more than the time in which the event loop turned */
  readonly clock: number
  /** Heads, bodies of refusals, and what nobody asked for; whatever is read into it is used up in the callback. */
  readonly scratch: Buffer
  readonly timeoutMs: number
  /** The answer is whole; the connection is idle, or goes on with the next one, or is ending when the answer says so. */
  answered(
    connection: Connection,
    exchange: Exchange,
    about: { head: Head; behind: boolean; well: boolean },
  ): void
  /** The server has answered requests that were asked one behind the other. */
  readonly proven: boolean
  /** The server leaves requests that were asked behind another unanswered. */
  misled(): void
  /**
   * Closed. What was on it is the owner's to settle: nothing writes into its memory any more. `exchange` failed;
   * `rest` did not, it is to be asked again.
   */
  gone(connection: Connection, exchange: Exchange | undefined, error: unknown, rest: Exchange[]): void
}

export interface Dial {
  address: string
  /** ms until it is given up */
  withinMs: number
}

/** 'flush': the answer is whole, but the last bytes of the request are still the kernel's. 'dead': only 'close' is awaited. */
type Phase = 'connecting' | 'idle' | 'asked' | 'flush' | 'dead'

/**
 * One socket, and the exchange on it. Light exchanges may follow one that is light: they are asked behind it, and
 * answered in that order.
 */
export class Connection implements Line {
  readonly dial: Dial
  phase: Phase = 'connecting'
  /** Requests could be sent. */
  opened = false
  /** ms it may be idle */
  keepMs = 0
  exchange: Exchange | undefined
  private readonly behind = new Behind()
  /** `exchange` itself was asked behind another. */
  private turned = false
  /** `exchange` is not what the connection was ended for. */
  private innocent = false
  /** It was not ended for an exchange at all. */
  private byServer = false
  private readonly owner: Owner
  private readonly socket: Socket
  /** Of the owner's clock: connected, a slice sent, a byte received. */
  private alive: number
  private answered = 0
  private readonly answers: Answers
  private readonly outgoing: Outgoing
  private asleep = false
  private error: unknown

  constructor(owner: Owner, dial: Dial, dialler: Dialler, exchange: Exchange) {
    this.owner = owner
    this.dial = dial
    this.alive = owner.clock
    this.exchange = exchange
    this.answers = new Answers(this, owner.scratch)
    this.socket = dialler.open(dial.address, {
      // Asked for right after each callback: what an answer's last byte changes must be changed within it.
      buffer: () => this.place(),
      callback: (count) => this.take(count),
    })
    this.outgoing = new Outgoing(this.socket, () => {
      this.alive = owner.clock
      return this.phase !== 'dead'
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
      if (this.phase !== 'connecting') this.end(hungUp(this.answers.begun))
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

  /** Nothing but light exchanges is on it, it was kept alive before, it gets on, and there is room. */
  get hasRoom(): boolean {
    const { phase, exchange, behind, answers, answered } = this
    if (phase !== 'asked' || exchange === undefined || answered === 0) return false
    if (!exchange.ask.light || exchange.alone) return false
    return answers.mayGoOn && behind.hasRoom && this.quiet <= QUIET_MS
  }

  /** Only when it has room. */
  follow(exchange: Exchange): void {
    exchange.carrier = this
    this.behind.add(exchange)
    this.refill()
  }

  /** Drops the socket. The exchange on it is settled when the socket has closed, not before. `by`: ended for that one. */
  end(reason: unknown, by?: Exchange): void {
    if (this.phase === 'dead') return
    const unanswered = this.phase === 'asked' && this.answers.untouched
    const forAnother = by !== undefined && by !== this.exchange
    const beforeItsTurn =
      this.turned && unanswered && (this.doubted || reason === undefined || isLost(reason))
    this.innocent ||= forAnother || (by === undefined && beforeItsTurn)
    this.byServer = by === undefined
    // Kept alive, and not a byte came back: it was most likely ended before the request.
    const stale = unanswered && this.answered > 0 && isLost(reason)
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
    } else if (phase !== 'dead' && quiet > this.patience()) {
      if (this.doubted) owner.misled()
      this.end(new TransportError('timeout', `no answer for ${owner.timeoutMs / 1000} s`))
    }
  }

  /** It is not known whether this server ever answers what was asked behind another. */
  private get doubted(): boolean {
    return this.turned && !this.owner.proven && this.answers.untouched
  }

  private patience(): number {
    const { timeoutMs } = this.owner
    return this.doubted ? Math.min(SILENT_MS, timeoutMs) : timeoutMs
  }

  private start(exchange: Exchange): void {
    this.turned = false
    this.expect(exchange)
    this.socket.write(exchange.ask.head, 'latin1')
    this.outgoing.begin(exchange.ask.body)
  }

  private expect(exchange: Exchange): void {
    this.alive = this.owner.clock
    this.phase = 'asked'
    this.answers.next()
    exchange.started = performance.now()
    exchange.crc32 = 0
  }

  private refill(): void {
    const heads = this.phase === 'dead' ? '' : this.behind.due()
    if (heads !== '') this.socket.write(heads, 'latin1')
  }

  get written(): number {
    return this.behind.written
  }

  get halfSent(): boolean {
    return this.outgoing.halfSent
  }

  get dead(): boolean {
    return this.phase === 'dead'
  }

  /** It may be another's: before it is believed its exchange is asked again, by itself. */
  odd(): void {
    if (this.exchange === undefined || (!this.turned && this.written === 0)) return
    this.exchange.doubt = 'odd'
    this.innocent = true
  }

  finished(head: Head, refused: Error | undefined): void {
    if (this.outgoing.busy) {
      this.phase = 'flush'
      this.outgoing.whenGone(() => this.complete(head, refused))
    } else this.complete(head, refused)
  }

  /**
   * Total, like take(): node would call it again, for ever, after a throw; and over TLS it would try to fill a place of
   * no bytes for ever. It asks once more after the callback that has ended the socket.
   */
  private place(): Uint8Array {
    const { scratch } = this.owner
    if (this.phase === 'dead') return scratch
    try {
      const place = this.answers.place()
      if (place.length > 0) return place
      throw new Error('an answer has no place')
    } catch (error) {
      this.end(error)
      return scratch
    }
  }

  private take(count: number): boolean {
    if (this.phase === 'dead') return true
    this.alive = this.owner.clock
    try {
      const wrong = this.answers.receive(count)
      if (wrong !== undefined) this.end(wrong, this.exchange)
    } catch (error) {
      this.end(error, this.exchange)
    }
    return true
  }

  private complete(head: Head, refused: Error | undefined): void {
    const { exchange, turned } = this
    if (exchange === undefined) return
    const next = this.behind.next()
    this.exchange = next
    this.answered++
    this.phase = 'idle'
    this.turned = next !== undefined
    if (next !== undefined) this.expect(next)
    if (head.close) this.end(undefined)
    this.owner.answered(this, exchange, { head, behind: turned, well: refused === undefined })
    if (refused === undefined) exchange.done(head)
    else exchange.fail(refused)
    this.refill()
  }

  private close(): void {
    if (this.phase !== 'dead') this.end(hungUp(this.answers.begun))
    const { exchange, innocent } = this
    this.exchange = undefined
    // Nor does it hold that one's body any longer.
    this.outgoing.begin(undefined)
    const rest = this.behind.clear()
    if (innocent && exchange !== undefined) rest.unshift(exchange)
    if (this.byServer) for (const one of rest) one.doubt ??= 'ended'
    this.owner.gone(this, innocent ? undefined : exchange, this.error, rest)
  }
}
