import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { crc32, crc32Combine, crcBase64, crcHex } from '../../src/checksum/crc32.ts'
import { crc32c } from '../../src/checksum/crc32c.ts'
import { crc64Base64, crc64nvme } from '../../src/checksum/crc64nvme.ts'

const CHECK = Buffer.from('123456789')

test('the three sums give the published check values', () => {
  assert.equal(crcHex(crc32(CHECK)), 'cbf43926')
  assert.equal(crcHex(crc32c(CHECK)), 'e3069283')
  assert.equal(crc64nvme(CHECK).toString(16), 'ae8b14860a799888')
})

test('empty input leaves each sum as it was', () => {
  assert.equal(crc32(Buffer.alloc(0), 7), 7)
  assert.equal(crc32c(Buffer.alloc(0), 7), 7)
  assert.equal(crc64nvme(Buffer.alloc(0), 7n), 7n)
})

test('header forms are padded and big-endian', () => {
  assert.equal(crcHex(0x1), '00000001')
  assert.equal(crcBase64(crc32(CHECK)), 'y/Q5Jg==')
  assert.equal(crc64Base64(crc64nvme(CHECK)), 'rosUhgp5mIg=')
})

test('a sum taken in two steps equals the sum of the whole, at any cut and any length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), fc.nat(), (bytes, n) => {
      const cut = bytes.length === 0 ? 0 : n % bytes.length
      const a = bytes.subarray(0, cut)
      const b = bytes.subarray(cut)
      assert.equal(crc32(b, crc32(a)), crc32(bytes))
      assert.equal(crc32c(b, crc32c(a)), crc32c(bytes))
      assert.equal(crc64nvme(b, crc64nvme(a)), crc64nvme(bytes))
      assert.equal(crc32Combine(crc32(a), crc32(b), b.length), crc32(bytes))
    }),
  )
})

test('the JavaScript CRC-32C agrees with the native one around the size where they change over', () => {
  const bytes = randomBytes(700)
  const byteByByte = bytes.reduce((sum, b) => crc32c(Uint8Array.of(b), sum), 0)
  assert.equal(crc32c(bytes), byteByByte)
  for (const n of [255, 256, 257, 511, 512]) {
    const head = bytes.subarray(0, n)
    assert.equal(crc32c(head.subarray(200), crc32c(head.subarray(0, 200))), crc32c(head))
  }
})

test('a CRC-32 goes on as it was when the faster library takes over', () => {
  const bytes = randomBytes(1 << 20)
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset + 1, bytes.length - 1)
  let ours = 0
  let theirs = 0
  for (let n = 0; n < 70; n++) {
    ours = crc32(view, ours)
    theirs = zlibCrc32(view, theirs)
  }
  assert.equal(ours, theirs)
  for (const length of [0, 1, 7, 64, 255, 4096]) {
    assert.equal(crc32(view.subarray(0, length), 0xffffffff), zlibCrc32(view.subarray(0, length), 0xffffffff))
  }
})

test('CRCs combine over lengths past 4 GiB', () => {
  const zeros = Buffer.alloc(1 << 20)
  let longZeros = crc32(zeros)
  let length = zeros.length
  for (let k = 0; k < 13; k++) {
    longZeros = crc32Combine(longZeros, longZeros, length)
    length *= 2
  }
  let step = crc32(CHECK)
  const one = crc32(zeros)
  for (let k = 0; k < 8192; k++) step = crc32Combine(step, one, zeros.length)
  assert.equal(crc32Combine(crc32(CHECK), longZeros, length), step)
})
