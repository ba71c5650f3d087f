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

  /** The first `count` bytes of `bytes` have come. undefined: more has to; a text: why it is not understood. */
  read(bytes: Buffer, count: number): Head | string | undefined {
    const { begun } = this
    // What is found beyond `count` is of an older answer.
    const end = begun === '' ? bytes.indexOf(END) : -1
    if (end >= 0 && end + END.length <= count) {
      this.bodyAt = end + END.length
      return parseHead(bytes.toString('latin1', 0, end))
    }
    const text = begun + bytes.toString('latin1', 0, count)
    const found = text.indexOf('\r\n\r\n')
    if (found > MAX_HEAD_BYTES || (found < 0 && text.length > MAX_HEAD_BYTES)) return 'a head without an end'
    this.begun = text
    if (found < 0) return undefined
    this.bodyAt = found + END.length - begun.length
    return parseHead(text.slice(0, found))
  }
}
