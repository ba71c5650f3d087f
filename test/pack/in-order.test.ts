import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openOrder } from '../../src/pack/in-order.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))

test('turns come in the order in which they were taken, whoever is ready first', async () => {
  const take = openOrder()
  const turns = [take(), take(), take()]
  const order: number[] = []
  for (const [i, turn] of turns.entries()) void turn.comes.then(() => order.push(i))
  turns[2]?.over()
  await settled()
  assert.deepEqual(order, [0])
  turns[0]?.over()
  turns[0]?.over()
  await settled()
  assert.deepEqual(order, [0, 1])
  turns[1]?.over()
  await settled()
  assert.deepEqual(order, [0, 1, 2])
})

test('a turn that is taken when all before it are over comes at once', async () => {
  const take = openOrder()
  take().over()
  await take().comes
})
