import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createGate, type Gate } from '../../src/pack/gate.ts'

const never = new AbortController().signal
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** Enters with each weight in turn; which of them are in, by their number. */
function enterAll(gate: Gate, weights: readonly number[], signal = never) {
  const inside = new Set<number>()
  const entering = weights.map((weight, i) => gate.enter(weight, signal).then(() => inside.add(i)))
  return { inside, entering }
}

test('no more are in than the number allows, and the others follow in order', async () => {
  const gate = createGate({ most: 2, least: 1, weight: 100 })
  const { inside } = enterAll(gate, [1, 1, 1, 1])
  await turn()
  assert.deepEqual([...inside], [0, 1])
  gate.leave(1)
  await turn()
  assert.deepEqual([...inside], [0, 1, 2])
})

test('heavy ones enter by their weight, but a few of them always', async () => {
  const gate = createGate({ most: 8, least: 2, weight: 10 })
  const { inside } = enterAll(gate, [30, 30, 4, 1])
  await turn()
  assert.deepEqual([...inside], [0, 1])
  gate.leave(30)
  await turn()
  // One is in: another may be, whatever the two weigh.
  assert.deepEqual([...inside], [0, 1, 2])
  gate.leave(30)
  await turn()
  assert.deepEqual([...inside], [0, 1, 2, 3])
})

test('a light one does not overtake a heavy one that waits', async () => {
  const gate = createGate({ most: 8, least: 1, weight: 10 })
  const { inside } = enterAll(gate, [8, 9, 1])
  await turn()
  assert.deepEqual([...inside], [0])
  gate.leave(8)
  await turn()
  assert.deepEqual([...inside], [0, 1, 2])
})

test('one that is aborted while it waits makes way for those behind it', async () => {
  const gate = createGate({ most: 8, least: 1, weight: 10 })
  await gate.enter(8, never)
  const controller = new AbortController()
  const heavy = gate.enter(9, controller.signal)
  const { inside } = enterAll(gate, [2])
  await turn()
  assert.equal(inside.size, 0)
  controller.abort(new Error('enough'))
  await assert.rejects(heavy, /enough/)
  await turn()
  assert.deepEqual([...inside], [0])
  await assert.rejects(gate.enter(1, controller.signal), /enough/)
})
