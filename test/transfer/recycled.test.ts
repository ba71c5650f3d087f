import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { openRecycled, RECYCLED_FROM } from '../../src/transfer/recycled.ts'
import type { Transfer } from '../../src/transfer/types.ts'
import { testEngine } from '../support/engine.ts'

const MIB = 1024 * 1024

test('memory that came back is used again where it fits, and never twice at once', () => {
  const recycled = openRecycled()
  // Not by notEqual: it would print them.
  const [first, second] = [recycled.take(MIB), recycled.take(3 * MIB)]
  assert.ok(first.byteLength >= MIB && second.byteLength >= 3 * MIB)
  recycled.give(first)
  assert.ok(recycled.take(MIB - 1000) === first)
  assert.ok(recycled.take(MIB) !== first)
  recycled.give(second)
  // Too small for the one, far too large for the other.
  assert.ok(recycled.take(4 * MIB) !== second)
  assert.ok(recycled.take(MIB) !== second)
  assert.ok(recycled.take(3 * MIB) === second)
})

test('little memory is made for its use, and much of what lies idle is given up', () => {
  const recycled = openRecycled()
  const small = recycled.take(100)
  assert.equal(small.byteLength, 100)
  recycled.give(small)
  assert.ok(recycled.take(100) !== small)
  const many = Array.from({ length: 20 }, () => recycled.take(MIB))
  for (const one of many) recycled.give(one)
  const again = Array.from({ length: 20 }, () => recycled.take(MIB))
  assert.equal(again.filter((one) => many.includes(one)).length, 8)
})

test('parts whose known bytes go to a thread in memory that is used again hold what was planned', async (t) => {
  const engine = testEngine(t, { workers: 1 })
  const from = RECYCLED_FROM
  const planned = Array.from({ length: 60 }, (_, id): Transfer & { expected: Buffer } => {
    const expected = randomBytes(from + id * 997)
    const cut = id * 1009
    const pieces = [
      { kind: 'bytes' as const, at: 0, length: cut, bytes: expected.subarray(0, cut) },
      { kind: 'bytes' as const, at: cut, length: expected.length - cut, bytes: expected.subarray(cut) },
    ]
    return { id, length: expected.length, pieces, to: { kind: 'memory' }, expected }
  })
  const bodies = new Map<number, Uint8Array | undefined>()
  for (let round = 0; round < 3; round++) {
    bodies.clear()
    // What a result brought is looked at when all are over: other parts have used the memory by then.
    await engine.run(planned, {
      onResult: (result) => void bodies.set(result.id, result.ok ? result.body : undefined),
    })
    for (const { id, expected } of planned)
      assert.ok(expected.equals(bodies.get(id) ?? Buffer.alloc(0)), `${id}`)
  }
})
