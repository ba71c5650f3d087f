import { createHash } from 'node:crypto'
import { crc32, crcBase64 } from '../checksum/crc32.ts'
import { crc32c } from '../checksum/crc32c.ts'
import { crc64Base64, crc64nvme } from '../checksum/crc64nvme.ts'
import type { Check, Checksums } from './store.ts'

/** Cheapest first: one sum is enough. */
const SUMS: readonly [Exclude<Check, 'size'>, (bytes: Uint8Array) => string][] = [
  ['crc32', (bytes) => crcBase64(crc32(bytes))],
  ['crc32c', (bytes) => crcBase64(crc32c(bytes))],
  ['crc64nvme', (bytes) => crc64Base64(crc64nvme(bytes))],
  ['sha256', (bytes) => createHash('sha256').update(bytes).digest('base64')],
  ['sha1', (bytes) => createHash('sha1').update(bytes).digest('base64')],
]

/** Base64; the "-N" of a composite is none. */
const SUM = /^[A-Za-z0-9+/]+={0,2}$/

export interface ChecksumFields {
  ChecksumCRC32?: string | undefined
  ChecksumCRC32C?: string | undefined
  ChecksumCRC64NVME?: string | undefined
  ChecksumSHA1?: string | undefined
  ChecksumSHA256?: string | undefined
  ChecksumType?: string | undefined
}

/** The checksums of a whole object that an answer carries. Composites ("-N") are sums of sums: left out. */
export function checksumsOf(fields: ChecksumFields): Checksums {
  const checksums: Checksums = {}
  if (fields.ChecksumType === 'COMPOSITE') return checksums
  if (isSum(fields.ChecksumCRC32)) checksums.crc32 = fields.ChecksumCRC32
  if (isSum(fields.ChecksumCRC32C)) checksums.crc32c = fields.ChecksumCRC32C
  if (isSum(fields.ChecksumCRC64NVME)) checksums.crc64nvme = fields.ChecksumCRC64NVME
  if (isSum(fields.ChecksumSHA1)) checksums.sha1 = fields.ChecksumSHA1
  if (isSum(fields.ChecksumSHA256)) checksums.sha256 = fields.ChecksumSHA256
  return checksums
}

function isSum(value: string | undefined): value is string {
  return value !== undefined && SUM.test(value)
}

/** Which check the bytes pass, or undefined when they fail the one that the server gave. */
export function verifyBytes(bytes: Uint8Array, checksums: Checksums): Check | undefined {
  for (const [name, sum] of SUMS) {
    const expected = checksums[name]
    if (expected !== undefined) return sum(bytes) === expected ? name : undefined
  }
  return 'size'
}
