import { Body } from './body.ts'
import type { Exchange } from './exchange.ts'
import type { Head } from './head.ts'
import { HeadReader } from './head-reader.ts'
import { HandOver } from './types.ts'
import { drainable } from './unwanted.ts'

/** With them a server says more of the request before than of this one, or that it did not understand. */
const ODD = new Set([200, 206, 400])

/** The exchanges whose answers are read, one after the other. */
export interface Line {
  /** The one whose turn it is. */
  readonly exchange: Exchange | undefined
  /** Written behind it: what comes after its answer is theirs. */
  readonly written: number
  /** Not all of its request's body is sent. */
  readonly halfSent: boolean
  /** Nothing is read any more. */
  readonly dead: boolean
  /** Its answer is whole; `refused`: and it is not what it asked for. */
  finished(head: Head, refused: Error | undefined): void
  /** What came is hardly the answer to it. */
  odd(): void
}

/**
 * 'over': no answer is awaited. 'body': the rest of it lands where it will live. 'drain': it is read and forgotten.
 */
type Stage = 'over' | 'head' | 'body' | 'drain'

/**
 * From what a connection reads to whole answers. The view that node gets to read into is exactly the bytes still
 * owed; when none are owed it is the scratch, and a byte that lands there ends the socket. Where further requests are
 * written all is read into the scratch: one read brings several answers.
 */
export class Answers {
  private stage: Stage = 'over'
  private readonly line: Line
  private readonly scratch: Buffer
  private readonly body = new Body()
  private readonly reader = new HeadReader()
  /** The view that node has is the place of the body, and not the scratch. */
  private inPlace = false
  private head: Head | undefined
  private refused: Error | undefined
  /** Where in the scratch the next byte lies that is not used up. */
  private at = 0

  constructor(line: Line, scratch: Buffer) {
    this.line = line
    this.scratch = scratch
  }

  /** The next answer is awaited. */
  next(): void {
    this.stage = 'head'
    this.reader.reset()
  }

  /** It is awaited, and not a byte of it has come. */
  get untouched(): boolean {
    return this.stage === 'head' && !this.reader.hasBegun
  }

  /** A part of it has come. */
  get begun(): boolean {
    return this.stage === 'body' || this.reader.hasBegun
  }

  /** Another one may follow it. */
  get mayGoOn(): boolean {
    return this.stage === 'head' || (this.stage === 'body' && this.head?.close !== true)
  }

  /** Where the next bytes are read to. Throws when the memory was taken away, by a transfer to another thread. */
  place(): Uint8Array {
    const { stage, body, line, scratch } = this
    this.inPlace = false
    if (line.written > 0) return scratch
    if (stage === 'body' && line.exchange !== undefined) {
      const place = body.place(line.exchange)
      this.inPlace = true
      return place
    }
    return stage === 'drain' ? scratch.subarray(0, Math.min(body.owed, scratch.length)) : scratch
  }

  /** `count` bytes were read to that place. Returns what the connection must be ended for. */
  receive(count: number): Error | undefined {
    const { body, line } = this
    if (this.inPlace && this.stage === 'body' && line.exchange !== undefined) {
      body.keep(line.exchange, count)
      if (body.owed === 0) this.finish()
      return undefined
    }
    let wrong: Error | undefined
    this.at = 0
    while (this.at < count && wrong === undefined && !line.dead) {
      wrong = this.stage === 'head' ? this.receiveHead(count) : this.receiveBody(count)
    }
    return wrong
  }

  private receiveHead(end: number): Error | undefined {
    const head = this.reader.read(this.scratch, this.at, end)
    this.at = end
    if (head === undefined) return undefined
    if (typeof head === 'string') return this.odd(new HandOver(head))
    this.at = this.reader.bodyAt
    return this.judge(head, end)
  }

  /** Whether the body is wanted; what came of it with the head is taken by receiveBody(). */
  private judge(head: Head, end: number): Error | undefined {
    const { line } = this
    const { exchange } = line
    if (exchange === undefined) return new HandOver('an answer to nothing')
    const refused = exchange.ask.judge(head)
    if (refused instanceof HandOver && ODD.has(head.status)) return this.odd(refused)
    // The rest of what was refused early is not sent, so nothing can follow it here.
    if (line.halfSent) return refused ?? new HandOver('an answer to half a request')
    const length = refused === undefined ? exchange.ask.length : drainable(refused, head)
    if (length === undefined) return refused
    if (line.written === 0 && end - this.at > length) {
      return refused ?? this.odd(new HandOver('bytes after the answer'))
    }
    this.head = head
    this.refused = refused
    this.body.begin(length)
    this.stage = refused === undefined ? 'body' : 'drain'
    if (length === 0) this.finish()
    return undefined
  }

  private receiveBody(end: number): Error | undefined {
    const { stage, body, scratch } = this
    const { exchange } = this.line
    if (stage !== 'body' && stage !== 'drain') return new HandOver('bytes that nobody asked for')
    const to = Math.min(end, this.at + body.owed)
    if (stage === 'body' && exchange !== undefined) body.copy(exchange, scratch, this.at, to)
    else body.drop(to - this.at)
    this.at = to
    if (body.owed === 0) this.finish()
    return undefined
  }

  private odd(wrong: Error): Error {
    this.line.odd()
    return wrong
  }

  private finish(): void {
    const { head, refused } = this
    this.stage = 'over'
    this.head = undefined
    this.refused = undefined
    if (head !== undefined) this.line.finished(head, refused)
  }
}
