import { crc32 } from '../../checksum/crc32.ts'
import type { Exchange } from './exchange.ts'

/** A read at most: enough that reads cost nothing, little enough that what was read is summed in the cache. */
const READ_BYTES = 512 * 1024

/** Where an answer's bytes are on their way to the memory of its exchange. One a connection, used again. */
export class Body {
  /** Bytes that are still to come. */
  owed = 0
  /** Bytes that came, and those of them that the exchange's window has taken. */
  private got = 0
  private taken = 0

  begin(owed: number): void {
    this.owed = owed
    this.got = 0
    this.taken = 0
  }

  /** Where the next bytes are read to: never more than are owed. */
  place({ ask: { into } }: Exchange): Uint8Array {
    const at = this.got - this.taken
    return new Uint8Array(
      into.buffer,
      into.byteOffset + at,
      Math.min(this.owed, READ_BYTES, into.length - at),
    )
  }

  /** `count` bytes have been read to that place. Throws what the window throws. */
  keep(exchange: Exchange, count: number): void {
    const { into, sum, window } = exchange.ask
    const at = this.got - this.taken
    this.got += count
    this.owed -= count
    if (sum) exchange.crc32 = crc32(new Uint8Array(into.buffer, into.byteOffset + at, count), exchange.crc32)
    if (window === undefined || (this.owed > 0 && at + count < into.length)) return
    window.take(this.taken, new Uint8Array(into.buffer, into.byteOffset, at + count))
    this.taken = this.got
  }

  /** The first of them came with the head: they lie elsewhere, from `start` to `end`. */
  copy(exchange: Exchange, from: Buffer, start: number, end: number): void {
    for (let at = start; at < end; ) {
      const copied = from.copy(exchange.ask.into, this.got - this.taken, at, end)
      // A view of no memory takes nothing, and does not say so.
      if (copied === 0) throw new Error('the memory of an answer was taken away')
      this.keep(exchange, copied)
      at += copied
    }
  }

  /** Of an answer that nobody wants. */
  drop(count: number): void {
    this.owed -= count
  }
}
