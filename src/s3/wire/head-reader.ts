import { type Head, MAX_HEAD_BYTES, parseHead } from './head.ts'

const END = Buffer.from('\r\n\r\n')

/** Puts together the head of one answer after the other, from reads that end anywhere. */
export class HeadReader {
  /** In the last read, where the body begins. */
  bodyAt = 0
  /** The beginning of a head that came in pieces. */
  private begun = ''

  /** Bytes of this answer have come, but not a whole head. */
  get hasBegun(): boolean {
    return this.begun !== ''
  }

  reset(): void {
    this.begun = ''
  }

  /** What lies in `bytes` from `from` to `to` has come. undefined: more has to; a text: why it is not understood. */
  read(bytes: Buffer, from: number, to: number): Head | string | undefined {
    const { begun } = this
    // What is found beyond `to` is of an older read.
    const end = begun === '' ? bytes.indexOf(END, from) : -1
    if (end >= 0 && end + END.length <= to) {
      this.bodyAt = end + END.length
      return parseHead(bytes.toString('latin1', from, end))
    }
    const text = begun + bytes.toString('latin1', from, to)
    const found = text.indexOf('\r\n\r\n')
    if (found > MAX_HEAD_BYTES || (found < 0 && text.length > MAX_HEAD_BYTES)) return 'a head without an end'
    this.begun = text
    if (found < 0) return undefined
    this.bodyAt = from + found + END.length - begun.length
    return parseHead(text.slice(0, found))
  }
}
