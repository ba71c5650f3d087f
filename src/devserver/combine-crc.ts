import type { Algorithm } from './hashers.ts'

/** Reflected polynomials, and their width in bits. */
const CRCS: Partial<Record<Algorithm, { width: bigint; polynomial: bigint }>> = {
  CRC32: { width: 32n, polynomial: 0xedb88320n },
  CRC32C: { width: 32n, polynomial: 0x82f63b78n },
  CRC64NVME: { width: 64n, polynomial: 0x9a6c9329ac4bc9b5n },
}

/**
 * CRC of A followed by B from their own CRCs (big-endian, as in the headers) and B's length: A's is multiplied by
 * x^(8·length) modulo the polynomial. This is how S3 gets a FULL_OBJECT checksum from those of the parts.
 */
export function combineCrc(algorithm: Algorithm, a: Buffer, b: Buffer, lengthOfB: number): Buffer {
  const crc = CRCS[algorithm]
  if (crc === undefined) throw new Error(`${algorithm} cannot be combined`)
  const { width, polynomial } = crc
  const top = 1n << (width - 1n)

  // Reflected: the top bit is x^0, and multiplying by x is a shift to the right.
  const times = (x: bigint, y: bigint): bigint => {
    let product = 0n
    let shifted = y
    for (let bit = top; bit > 0n; bit >>= 1n) {
      if (x & bit) product ^= shifted
      shifted = shifted & 1n ? (shifted >> 1n) ^ polynomial : shifted >> 1n
    }
    return product
  }

  let power = top
  let square = top >> 8n // x^8: one byte
  for (let n = BigInt(lengthOfB); n > 0n; n >>= 1n) {
    if (n & 1n) power = times(power, square)
    square = times(square, square)
  }
  const combined = times(toBigInt(a), power) ^ toBigInt(b)
  return Buffer.from(combined.toString(16).padStart(Number(width / 4n), '0'), 'hex')
}

function toBigInt(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`)
}
