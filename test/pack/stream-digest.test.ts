import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { createStreamDigest } from '../../src/pack/stream-digest.ts'

test('pieces of any size, put together, have the digest of the whole', () => {
  const long = fc.integer({ min: 60_000, max: 200_000 }).map((length) => 'ü'.repeat(length))
  const pieces = fc.array(fc.oneof(fc.string(), fc.uint8Array(), long), { maxLength: 40 })
  fc.assert(
    fc.property(pieces, (parts) => {
      const digest = createStreamDigest()
      const whole = createHash('sha256')
      for (const part of parts) {
        if (typeof part === 'string') digest.text(part)
        else digest.add(part)
        whole.update(part)
      }
      assert.equal(digest.hex(), whole.digest('hex'))
    }),
  )
})
