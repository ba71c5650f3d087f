import { crc32, crcHex } from '../checksum/crc32.ts'

/** What was written down about a list of lines. */
export interface Written {
  /** bytes */
  size: number
  /** hex */
  crc32: string
}

/** Passes the chunks on; throws `wrong`'s error at their end when they are not what was written. */
export async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  written: Written,
  wrong: (crc32: string) => Error,
): AsyncGenerator<Uint8Array> {
  let [size, crc] = [0, 0]
  for await (const chunk of chunks) {
    size += chunk.length
    crc = crc32(chunk, crc)
    yield chunk
  }
  if (size !== written.size || crcHex(crc) !== written.crc32) throw wrong(crcHex(crc))
}
