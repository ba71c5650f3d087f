import type { Exchange } from './exchange.ts'

/** Requests on one connection at most, and from how few of them on the next ones are written, all in one write. */
const DEPTH = 16
const REFILL = 8

/** The exchanges that are asked behind the one whose turn it is, in this order; the last of them not at once. */
export class Behind {
  private readonly exchanges: Exchange[] = []
  private unsent = 0
  private text = ''

  get hasRoom(): boolean {
    return this.exchanges.length < DEPTH - 1
  }

  /** How many of them are written. */
  get written(): number {
    return this.exchanges.length - this.unsent
  }

  add(exchange: Exchange): void {
    this.exchanges.push(exchange)
    this.text += exchange.ask.head
    this.unsent++
  }

  /** The next one's turn; there is always one of those that are written, if there is one at all. */
  next(): Exchange | undefined {
    return this.exchanges.shift()
  }

  /** The heads that are to be written now; '': none. */
  due(): string {
    if (this.unsent === 0 || this.written >= REFILL) return ''
    const { text } = this
    this.text = ''
    this.unsent = 0
    return text
  }

  /** All of them: nobody asks them any more. */
  clear(): Exchange[] {
    this.text = ''
    this.unsent = 0
    return this.exchanges.splice(0)
  }
}
