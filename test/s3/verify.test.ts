import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { crc32, crcBase64 } from '../../src/checksum/crc32.ts'
import { crc32c } from '../../src/checksum/crc32c.ts'
import { crc64Base64, crc64nvme } from '../../src/checksum/crc64nvme.ts'
import type { Check } from '../../src/s3/store.ts'
import { type ChecksumFields, checksumsOf, verifyBytes } from '../../src/s3/verify.ts'

const BYTES = randomBytes(16_384)
const SUMS: [Check, keyof ChecksumFields, string][] = [
  ['crc32', 'ChecksumCRC32', crcBase64(crc32(BYTES))],
  ['crc32c', 'ChecksumCRC32C', crcBase64(crc32c(BYTES))],
  ['crc64nvme', 'ChecksumCRC64NVME', crc64Base64(crc64nvme(BYTES))],
  ['sha256', 'ChecksumSHA256', createHash('sha256').update(BYTES).digest('base64')],
  ['sha1', 'ChecksumSHA1', createHash('sha1').update(BYTES).digest('base64')],
]

test('each checksum that an answer carries is the check that whole bytes pass, and that a flipped bit fails', () => {
  const flipped = Buffer.from(BYTES)
  flipped[9_999] = (flipped[9_999] ?? 0) ^ 4
  for (const [check, field, sum] of SUMS) {
    const checksums = checksumsOf({ [field]: sum, ChecksumType: 'FULL_OBJECT' })
    assert.deepEqual(checksums, { [check]: sum })
    assert.equal(verifyBytes(BYTES, checksums), check)
    assert.equal(verifyBytes(flipped, checksums), undefined)
  }
})

test('of several checksums the cheapest is taken', () => {
  for (let from = 0; from < SUMS.length; from++) {
    const fields = Object.fromEntries(SUMS.slice(from).map(([, field, sum]) => [field, sum]))
    assert.equal(verifyBytes(BYTES, checksumsOf(fields)), SUMS[from]?.[0])
  }
})

test('a sum of sums is no checksum of the bytes, by its type or by its "-N"', () => {
  for (const [, field, sum] of SUMS) {
    assert.deepEqual(checksumsOf({ [field]: sum, ChecksumType: 'COMPOSITE' }), {})
    assert.deepEqual(checksumsOf({ [field]: `${sum}-3` }), {})
  }
  assert.equal(verifyBytes(BYTES, {}), 'size')
})
