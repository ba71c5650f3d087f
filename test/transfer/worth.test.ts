import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOneMoreWorth, worthOf } from '../../src/transfer/worth.ts'

const KIB = 1024
const MIB = 1024 * KIB
const staff = { workers: 4, forLarge: 1 }

test('the last thread is for large ranges only, told from what is expected as from what is there to do', () => {
  assert.equal(worthOf({ files: 4, bytes: 1024 * MIB }, staff), 4)
  assert.equal(worthOf({ files: 1, bytes: 64 * MIB }, { workers: 16, forLarge: 1 }), 2)
  assert.equal(worthOf({ files: 100_000, bytes: 100_000 * 16 * KIB }, staff), 3)
  const large = { weight: 64 * MIB, requests: 8 }
  const small = { weight: 64 * MIB, requests: 800 }
  assert.deepEqual(
    [1, 2, 3, 4].map((started) => [
      isOneMoreWorth(started, large, staff),
      isOneMoreWorth(started, small, staff),
    ]),
    [
      [true, true],
      [true, true],
      [true, false],
      [false, false],
    ],
  )
})

test('little work is worth one thread, and nothing that is known yet as well', () => {
  assert.equal(worthOf({ files: 0, bytes: 0 }, staff), 1)
  assert.equal(worthOf({ files: 1, bytes: 5 * MIB }, staff), 1)
  assert.equal(worthOf({ files: 3, bytes: 9 * MIB }, staff), 2)
  assert.ok(!isOneMoreWorth(1, { weight: MIB, requests: 1 }, staff))
})
