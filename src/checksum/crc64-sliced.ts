/** Reflected polynomial of CRC-64/NVME, as two halves: JavaScript has no fast 64-bit integers. */
const POLY_HI = 0x9a6c9329
const POLY_LO = 0xac4bc9b5

interface Tables {
  lo: Int32Array
  hi: Int32Array
}

let tables: Tables | undefined

/**
 * CRC-64/NVME in JavaScript alone, for where WebAssembly may not run: slicing-by-8 on two 32-bit halves. 1 GB/s once
 * it is compiled, a tenth of that in a process that has just begun, 10 MB/s under --jitless.
 */
export function crc64Sliced(b: Uint8Array, seed: bigint): bigint {
  tables ??= makeTables()
  const { lo: LO, hi: HI } = tables
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
    lo =
      look(LO, a0) ^
      look(LO, a1) ^
      look(LO, a2) ^
      look(LO, a3) ^
      look(LO, a4) ^
      look(LO, a5) ^
      look(LO, a6) ^
      look(LO, a7)
    hi =
      look(HI, a0) ^
      look(HI, a1) ^
      look(HI, a2) ^
      look(HI, a3) ^
      look(HI, a4) ^
      look(HI, a5) ^
      look(HI, a6) ^
      look(HI, a7)
  }
  for (; i < b.length; i++) {
    const n = (lo ^ at(b, i)) & 255
    lo = look(LO, n) ^ ((lo >>> 8) | (hi << 24))
    hi = look(HI, n) ^ (hi >>> 8)
  }
  return (BigInt(~hi >>> 0) << 32n) | BigInt(~lo >>> 0)
}

function at(b: Uint8Array, i: number): number {
  return b[i] as number
}

function look(t: Int32Array, i: number): number {
  return t[i] as number
}

/** Table t, at 256·t, holds what each byte adds to the sum when t more bytes follow it. */
function makeTables(): Tables {
  const LO = new Int32Array(8 * 256)
  const HI = new Int32Array(8 * 256)
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
    const lo = look(LO, n - 256)
    const hi = look(HI, n - 256)
    LO[n] = look(LO, lo & 255) ^ ((lo >>> 8) | (hi << 24))
    HI[n] = look(HI, lo & 255) ^ (hi >>> 8)
  }
  return { lo: LO, hi: HI }
}
