import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBudget } from '../../src/transfer/budget.ts'
import { bufferSize, openBuffers } from '../../src/transfer/buffers.ts'
import { openClimb } from '../../src/transfer/climb.ts'
import { openPace } from '../../src/transfer/pace.ts'
import { openSlots } from '../../src/transfer/slots.ts'

const never = new AbortController().signal

test('the budget is first come, first served: a large wish is not overtaken by small ones', async () => {
  const budget = openBudget(100)
  const order: string[] = []
  await budget.acquire(60, never)
  const large = budget.acquire(80, never).then(() => order.push('large'))
  const small = budget.acquire(10, never).then(() => order.push('small'))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(order, [])
  budget.release(60)
  await Promise.all([large, small])
  assert.deepEqual(order, ['large', 'small'])
  assert.equal(budget.peak, 90)
})

test('a wish that is aborted lets the next one through', async () => {
  const budget = openBudget(100)
  await budget.acquire(60, never)
  const controller = new AbortController()
  const large = budget.acquire(80, controller.signal)
  const small = budget.acquire(40, never)
  controller.abort(new Error('stop'))
  await assert.rejects(large, { message: 'stop' })
  assert.equal(await small, 40)
})

test('buffers are used again, and what lies idle never takes more than the budget has free', () => {
  let room = 1 << 20
  const buffers = openBuffers(() => room)
  const first = buffers.take(16_000)
  assert.equal(first.length, bufferSize(16_000))
  buffers.give(first)
  assert.equal(buffers.take(15_000), first)
  buffers.give(first)
  room = 0
  buffers.take(4_000)
  assert.notEqual(buffers.take(16_000), first)
})

test('the limit climbs while goodput grows, comes back when it does not, and stays in its bounds', () => {
  let now = 0
  const climb = openClimb('auto', () => now)
  const window = (bytesPerMs: number) => {
    now += 500
    climb.done(bytesPerMs * 500, true)
  }
  assert.equal(climb.limit, 32)
  for (let i = 1; i < 30; i++) window(1000 * 2 ** i)
  assert.equal(climb.limit, 256)
  for (let i = 0; i < 20; i++) {
    now += 2000
    climb.slowDown()
  }
  assert.equal(climb.limit, 4)
  climb.slowDown()
  for (let i = 0; i < 10; i++) window(1000)
  const flat = climb.limit
  for (let i = 0; i < 30; i++) window(1000)
  assert.ok(climb.limit <= flat + 2)
})

test('refusals that come together halve the limit once', () => {
  const climb = openClimb('auto', () => 5000)
  for (let i = 0; i < 20; i++) climb.slowDown()
  assert.equal(climb.limit, 16)
})

test('a fixed concurrency stays as it was given', () => {
  const climb = openClimb(7)
  climb.slowDown()
  assert.equal(climb.limit, 7)
})

test('bytes are spread over time at the rate that was asked for, and time that passed idle is not saved up', async () => {
  const delays: number[] = []
  let now = 0
  const clock = {
    now: () => now,
    sleep: async (ms: number) => delays.push(ms),
  }
  const pace = openPace(1000, clock)
  for (let i = 0; i < 4; i++) await pace.spend(100, never)
  assert.deepEqual(delays, [100, 200, 300, 400])
  now = 10_000
  await pace.spend(500, never)
  assert.equal(delays.at(-1), 500)
  await openPace(undefined, clock).spend(1e12, never)
  assert.equal(delays.length, 5)
})

test('uploads go first, then downloads in the order they came', async () => {
  const slots = openSlots(openClimb(1))
  const order: string[] = []
  let open: (() => void) | undefined
  slots.upload(() => new Promise((resolve) => (open = () => resolve(0))))
  const source = (names: string[]) => () => {
    const name = names.shift()
    if (name === undefined) return undefined
    return async () => {
      order.push(name)
      return 0
    }
  }
  slots.download(source(['a1', 'a2']))
  slots.download(source(['b1']))
  slots.upload(async () => {
    order.push('up')
    return 0
  })
  open?.()
  while (order.length < 4) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(order, ['up', 'a1', 'a2', 'b1'])
})
