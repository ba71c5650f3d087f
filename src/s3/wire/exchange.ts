import type { CallOptions } from '../store.ts'
import { unwatchAbort, watchAbort } from './abort.ts'
import type { Head } from './head.ts'
import type { Window } from './types.ts'

/** What carries an exchange and can be told to let go of it. */
export interface Carrier {
  /** `by`: the exchange that it is ended for. */
  end(reason: unknown, by: Exchange): void
}

/** What an exchange brought. */
export interface Answer {
  head: Head
  /** CRC-32 of what is in `into`, where it was asked for. */
  crc32: number | undefined
}

export interface Ask {
  /** The request's head, complete. */
  head: string
  /** What is sent after the head. */
  body: Uint8Array | undefined
  /** bytes of the answer's body */
  length: number
  /** Where it goes: all of it, or a window of it at a time. Nothing else goes there. */
  into: Uint8Array
  /** Takes what is in `into` whenever that is full, and at the end. */
  window: Window | undefined
  /** Its CRC-32 is wanted. */
  sum: boolean
  /** It may be asked behind others of its kind on one connection, before they are answered. */
  light: boolean
  /** What is wrong with an answer by its head: its body does not go to `into` then. */
  judge: (head: Head) => Error | undefined
  call: CallOptions
}

/**
 * One request and its answer, from waiting for a connection until its memory is free again: only then it settles.
 * A second exchange with memory of its own may race a slow one; the bytes of the faster count.
 */
export class Exchange {
  readonly ask: Ask
  /** The connection it is on. */
  carrier: Carrier | undefined
  /** When it was its connection's turn to answer it, ms of performance.now(); 0: not yet */
  started = 0
  /** Addresses that took no connection for it. */
  tried: Set<string> | undefined
  settled = false
  cancelled = false
  /** The one that races it, or that did. */
  second: Exchange | undefined
  /** CRC-32 of the bytes in `into` so far, where it is wanted. */
  crc32 = 0
  /** It is itself the second of another. */
  racer = false
  /** It was asked on one connection with others, and came to nothing: it has one to itself now. */
  alone = false
  /** Why: the server ended the connection, or its answer may have been another's. What it gets by itself will tell. */
  doubt: 'ended' | 'odd' | undefined
  private reason: unknown
  private won: Head | undefined
  private failure: { error: unknown } | undefined
  private readonly resolve: (answer: Answer) => void
  private readonly reject: (error: unknown) => void

  constructor(ask: Ask, resolve: (answer: Answer) => void, reject: (error: unknown) => void) {
    this.ask = ask
    this.resolve = resolve
    this.reject = reject
    if (ask.call.signal !== undefined) watchAbort(ask.call.signal, this)
  }

  /** Asked again it could still bring something. */
  get open(): boolean {
    return !this.settled && !this.cancelled && this.won === undefined
  }

  /** `into` is full. */
  done(head: Head): void {
    this.carrier = undefined
    this.settle()
    this.second?.cancel(undefined)
    this.resolve(this.answer(head))
  }

  /** No native code knows `into` or `body` any more. */
  fail(error: unknown): void {
    if (this.settled) return
    this.carrier = undefined
    this.failure ??= { error }
    if (this.won !== undefined) this.takeOver(this.won)
    // The other one may still bring it home.
    else if (this.cancelled || this.second?.settled !== false) {
      this.settle()
      this.second?.cancel(undefined)
      this.reject(this.cancelled ? this.reason : this.failure.error)
    }
  }

  /** Rejects with the reason, but not before the socket that may still write into `into` is closed. */
  cancel(reason: unknown): void {
    if (this.settled || this.cancelled) return
    this.cancelled = true
    this.reason = reason
    if (this.carrier === undefined) this.fail(reason)
    else this.carrier.end(reason, this)
  }

  /** Sends the same again, into memory of its own. `ended` is called when that is over. */
  race(run: (second: Exchange) => void, ended: () => void): void {
    const into = Buffer.allocUnsafeSlow(this.ask.length)
    const second = new Exchange(
      { ...this.ask, into, window: undefined, light: false, call: {} },
      ({ head }) => {
        ended()
        this.overtaken(head)
      },
      () => {
        ended()
        if (this.failure !== undefined) this.fail(this.failure.error)
      },
    )
    second.racer = true
    this.second = second
    run(second)
  }

  private overtaken(head: Head): void {
    if (this.settled || this.cancelled) return
    this.won = head
    if (this.carrier === undefined) this.takeOver(head)
    else this.carrier.end(undefined, this)
  }

  private takeOver(head: Head): void {
    const { second } = this
    this.settle()
    try {
      if (second !== undefined) this.takeBytes(second)
      this.resolve(this.answer(head))
    } catch (error) {
      this.reject(error)
    }
  }

  private takeBytes({ ask: { into }, crc32 }: Exchange): void {
    const { window } = this.ask
    if (window === undefined) this.ask.into.set(into)
    else window.take(0, into)
    this.crc32 = crc32
  }

  private answer(head: Head): Answer {
    return { head, crc32: this.ask.sum ? this.crc32 : undefined }
  }

  private settle(): void {
    this.settled = true
    const { signal } = this.ask.call
    if (signal !== undefined) unwatchAbort(signal, this)
  }
}
