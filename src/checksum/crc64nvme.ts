/** Reflected polynomial of CRC-64/NVME (S3's default checksum since 2025), as two halves. */
const POLY_HI = 0x9a6c9329
const POLY_LO = 0xac4bc9b5
const LO = new Int32Array(8 * 256)
const HI = new Int32Array(8 * 256)
fillTables()

/**
 * CRC-64/NVME of `bytes`, continued from `seed`. Slicing-by-8 on two 32-bit halves: JavaScript has no fast
 * 64-bit integers, and no package in the tree has this sum natively.
 */
export function crc64nvme(bytes: Uint8Array, seed = 0n): bigint {
  const b = bytes
  let lo = ~Number(seed & 0xffffffffn)
  let hi = ~Number((seed >> 32n) & 0xffffffffn)
  let i = 0
  for (const end = b.length - 7; i < end; i += 8) {
    lo ^= at(b, i) | (at(b, i + 1) << 8) | (at(b, i + 2) << 16) | (at(b, i + 3) << 24)
    hi ^= at(b, i + 4) | (at(b, i + 5) << 8) | (at(b, i + 6) << 16) | (at(b, i + 7) << 24)
    const a0 = 1792 + (lo & 255)
    const a1 = 1536 + ((lo >>> 8) & 255)
    const a2 = 1280 + ((lo >>> 16) & 255)
    const a3 = 1024 + (lo >>> 24)
    const a4 = 768 + (hi & 255)
    const a5 = 512 + ((hi >>> 8) & 255)
    const a6 = 256 + ((hi >>> 16) & 255)
    const a7 = hi >>> 24
    lo = l(a0) ^ l(a1) ^ l(a2) ^ l(a3) ^ l(a4) ^ l(a5) ^ l(a6) ^ l(a7)
    hi = h(a0) ^ h(a1) ^ h(a2) ^ h(a3) ^ h(a4) ^ h(a5) ^ h(a6) ^ h(a7)
  }
  for (; i < b.length; i++) {
    const n = (lo ^ at(b, i)) & 255
    lo = l(n) ^ ((lo >>> 8) | (hi << 24))
    hi = h(n) ^ (hi >>> 8)
  }
  return (BigInt(~hi >>> 0) << 32n) | BigInt(~lo >>> 0)
}

/** Big-endian base64, as in x-amz-checksum-crc64nvme. */
export function crc64Base64(crc: bigint): string {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeBigUInt64BE(crc)
  return bytes.toString('base64')
}

function at(b: Uint8Array, i: number): number {
  return b[i] as number
}

function l(i: number): number {
  return LO[i] as number
}

function h(i: number): number {
  return HI[i] as number
}

function fillTables(): void {
  for (let n = 0; n < 256; n++) {
    let lo = n
    let hi = 0
    for (let k = 0; k < 8; k++) {
      const odd = lo & 1
      lo = (lo >>> 1) | (hi << 31)
      hi >>>= 1
      if (odd) {
        lo ^= POLY_LO
        hi ^= POLY_HI
      }
    }
    LO[n] = lo
    HI[n] = hi
  }
  for (let n = 256; n < LO.length; n++) {
    const lo = l(n - 256)
    const hi = h(n - 256)
    LO[n] = l(lo & 255) ^ ((lo >>> 8) | (hi << 24))
    HI[n] = h(lo & 255) ^ (hi >>> 8)
  }
}
