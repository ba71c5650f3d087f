import assert from 'node:assert/strict'
import { test } from 'node:test'
import { iteratePlan } from '../../src/transfer/plan.ts'
import type { Plan, Transfer } from '../../src/transfer/types.ts'

const transfer = (id: number): Transfer => ({ id, length: 0, pieces: [], to: { kind: 'memory' } })

async function drain(plan: Plan): Promise<number[]> {
  const source = iteratePlan(plan)
  const ids: number[] = []
  for (let next = await source.next(); next !== undefined; next = await source.next()) ids.push(next.id)
  assert.equal(await source.next(), undefined)
  return ids
}

test('transfers come in their order, whether one by one or in batches, empty ones included', async () => {
  const steps = [[], transfer(0), [transfer(1), transfer(2)], [], [], [transfer(3)], transfer(4), []]
  async function* later() {
    yield* steps
  }
  assert.deepEqual(await drain(steps), [0, 1, 2, 3, 4])
  assert.deepEqual(await drain(later()), [0, 1, 2, 3, 4])
})

test('within a batch there is nothing to wait for, and nothing is asked of the plan', async () => {
  let asked = 0
  async function* plan() {
    for (;;) {
      asked++
      yield [transfer(asked), transfer(asked)]
    }
  }
  const source = iteratePlan(plan())
  assert.ok(source.next() instanceof Promise)
  await new Promise(setImmediate)
  assert.ok(!(source.next() instanceof Promise))
  assert.equal(asked, 1)
  await source.end()
})

test('a next() that waits is rejected by stop()', async () => {
  const source = iteratePlan(
    (async function* () {
      await new Promise(() => {})
      yield transfer(0)
    })(),
  )
  const next = source.next()
  source.stop(new Error('stopped'))
  await assert.rejects(async () => next, /stopped/)
})
