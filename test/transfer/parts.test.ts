import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openBudget } from '../../src/transfer/budget.ts'
import { bufferSize, openBuffers } from '../../src/transfer/buffers.ts'
import { openPace } from '../../src/transfer/pace.ts'
import { FAILED, type Gate, openSlots, type Source } from '../../src/transfer/slots.ts'

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

test('buffers are used again, and what lies idle is within the allowance, or no more than what is in use', () => {
  const [part, half] = [1 << 22, 1 << 21]
  const buffers = openBuffers(2 * part)
  const [first, second, third] = [buffers.take(part), buffers.take(part), buffers.take(part)]
  assert.equal(first.length, bufferSize(part))
  // All that were in use come back before the next is taken: two of them are within the allowance.
  for (const one of [first, second, third]) buffers.give(one)
  assert.deepEqual(new Set([buffers.take(part), buffers.take(part)]), new Set([first, second]))
  buffers.give(second)
  // Another size does not fit beside it.
  const other = buffers.take(half + 1)
  assert.notEqual(buffers.take(part), second)
  buffers.lose(other)
})

test('bytes are spread over time at the rate that was asked for, and time that passed idle is not saved up', async () => {
  const delays: number[] = []
  let now = 0
  const clock = {
    now: () => BigInt(now) * 1_000_000n,
    sleep: async (ms: number) => delays.push(ms),
  }
  const pace = openPace(1000, { clock })
  for (let i = 0; i < 4; i++) await pace.spend(100, never)
  assert.deepEqual(delays, [100, 200, 300, 400])
  now = 10_000
  await pace.spend(500, never)
  assert.equal(delays.at(-1), 500)
  await openPace(undefined, { clock }).spend(1e12, never)
  assert.equal(delays.length, 5)
})

test('threads with a pace each, and one number in shared memory, keep to one rate together, step by step', async () => {
  let now = 0
  const clock = {
    now: () => BigInt(Math.round(now * 1e6)),
    async sleep(ms: number) {
      now += ms
    },
  }
  const free = new BigInt64Array(new SharedArrayBuffer(8))
  const paces = Array.from({ length: 3 }, () => openPace(1_000_000, { free, clock }))
  await Promise.all(paces.map((pace) => pace.spend(2_000_000, never)))
  assert.equal(Number(Atomics.load(free, 0)) / 1e9, 6)
  assert.ok(now >= 6000)
})

function gateOf(limit: number): Gate {
  return { limit, enter: () => true, leave() {}, done() {} }
}

function source(names: string[], order: string[], signal = never): Source {
  const made: Source = {
    left: names.length,
    signal,
    cancel: () => order.push('cancelled'),
    begin(finished) {
      order.push(names.shift() ?? '')
      made.left = names.length
      queueMicrotask(() => finished(0))
    },
  }
  return made
}

test('uploads go first, then downloads in the order they came', async () => {
  const slots = openSlots(gateOf(1))
  const order: string[] = []
  let open: (() => void) | undefined
  const blocking = source([''], [])
  blocking.begin = (finished) => {
    blocking.left = 0
    open = () => finished(0)
  }
  slots.upload(blocking)
  slots.download(source(['a1', 'a2'], order))
  slots.download(source(['b1'], order))
  slots.upload(source(['up'], order))
  open?.()
  while (order.length < 4) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(order, ['up', 'a1', 'a2', 'b1'])
})

test('two that only wait behind others on a connection have one slot', () => {
  let entered = 0
  const slots = openSlots({ ...gateOf(3), enter: () => ++entered > 0, leave: () => void entered-- })
  const running: (() => void)[] = []
  const held = (behind: boolean): Source => {
    const made: Source = {
      left: 1,
      signal: never,
      cancel() {},
      behind: () => behind,
      begin(finished) {
        made.left = 0
        running.push(() => finished(1))
      },
    }
    return made
  }
  slots.download(held(false))
  for (let i = 0; i < 4; i++) slots.download(held(true))
  assert.deepEqual([running.length, slots.active, entered], [5, 3, 3])
  slots.download(held(true))
  slots.download(held(false))
  assert.deepEqual([running.length, slots.waiting], [5, 2])
  // One of two that share a slot is over: the next one of its kind takes its half.
  running[1]?.()
  assert.deepEqual([running.length, slots.active, entered], [6, 3, 3])
  for (const end of [running[2], running[3]]) end?.()
  assert.deepEqual([running.length, slots.active, entered], [7, 3, 3])
  for (const end of [running[0], running[4], running[5], running[6]]) end?.()
  assert.deepEqual([slots.active, slots.waiting, entered], [0, 0, 0])
})

test('what waits under a signal that is aborted never runs, and says so at once', () => {
  const slots = openSlots(gateOf(0))
  const order: string[] = []
  const controller = new AbortController()
  slots.download(source(['gone'], order, controller.signal))
  slots.download(source(['stays'], order))
  controller.abort()
  slots.sweep()
  assert.deepEqual(order, ['cancelled'])
})

test('a request that failed is no goodput: a storm of refusals does not look like progress', async () => {
  const work: number[] = []
  const slots = openSlots({ ...gateOf(1), done: (part) => work.push(part) })
  const failing = source([''], [])
  failing.begin = (finished) => {
    failing.left = 0
    queueMicrotask(() => finished(FAILED))
  }
  slots.download(failing)
  slots.download(source(['fine'], []))
  while (work.length < 2) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(work[0], 0)
  assert.ok((work[1] ?? 0) > 0)
})
