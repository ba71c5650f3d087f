import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { LongshoreError } from '../../../src/errors.ts'
import { HandOver, type Window } from '../../../src/s3/wire/types.ts'
import { ok, rangeOf, rawServer } from './raw-server.ts'

const object = randomBytes(2_000_000)
const range = (offset: number) => ({ key: 'k', offset, size: object.length, etag: '"e"' })

/** A window of `size` bytes, and the answer as it was taken. */
function openWindow(length: number, size: number, onTake = (_at: number) => {}) {
  const bytes = Buffer.alloc(length)
  const steps: number[] = []
  let next = 0
  const window: Window = {
    length,
    memory: Buffer.alloc(size),
    take(at, part) {
      assert.ok(at === next || at === 0, 'in order')
      next = at + part.length
      bytes.set(part, at)
      steps.push(part.length)
      onTake(at)
    },
  }
  return { window, bytes, steps, end: () => next }
}

for (const tls of [false, true]) {
  test(`ranges of any length pass through windows of any size in order, all of them, ${tls ? 'https' : 'http'}`, async (t) => {
    const server = await rawServer(t, { tls, answer: (r) => void r.socket.write(rangeOf(r, object)) })
    const wire = server.openWire()
    const property = fc.asyncProperty(
      fc.nat(object.length - 2),
      fc.integer({ min: 1, max: 900_000 }),
      fc.integer({ min: 1, max: 300_000 }),
      async (start, wanted, size) => {
        const offset = start + 1
        const length = Math.min(wanted, object.length - offset)
        const through = openWindow(length, size)
        assert.deepEqual(await wire.getThrough(range(offset), through.window), { etag: '"e"', check: 'size' })
        assert.ok(through.bytes.equals(object.subarray(offset, offset + length)))
        assert.equal(through.end(), length)
        assert.ok(through.steps.slice(0, -1).every((step) => step === size))
      },
    )
    await fc.assert(property, { numRuns: 30 })
    assert.equal(server.connections, 1)
  })
}

test('an answer that breaks off in the middle is taken anew from its beginning', async (t) => {
  const server = await rawServer(t, {
    async answer(request) {
      const answer = rangeOf(request, object)
      if (request.index > 0) return void request.socket.write(answer)
      request.socket.write(answer.subarray(0, 700_000))
      await sleep(50)
      request.socket.destroy()
    },
  })
  const begun: number[] = []
  const through = openWindow(1_000_000, 100_000, (at) => at === 0 && begun.push(at))
  const retries: unknown[] = []
  await server.openWire().getThrough(range(5), through.window, { onRetry: (r) => retries.push(r) })
  assert.ok(through.bytes.equals(object.subarray(5, 1_000_005)))
  assert.deepEqual([begun.length, retries.length], [2, 1])
})

for (const tls of [false, true]) {
  test(`a window that can take no more ends the request with its own error: nothing is asked again, ${tls ? 'https' : 'http'}`, async (t) => {
    const server = await rawServer(t, { tls, answer: (r) => void r.socket.write(rangeOf(r, object)) })
    const full = new LongshoreError('NO_SPACE', 'the disk is full')
    const through = openWindow(1_000_000, 100_000, (at) => {
      if (at > 0) throw full
    })
    const failed = server.openWire().getThrough(range(5), through.window)
    await assert.rejects(failed, (error) => error === full)
    assert.equal(server.requests.length, 1)
    while (server.open.size > 0) await sleep(5)
  })
}

test('after an abort nothing is taken any more', async (t) => {
  const server = await rawServer(t, {
    async answer(request) {
      const answer = rangeOf(request, object)
      request.socket.write(answer.subarray(0, 500_000))
      await sleep(200)
      request.socket.write(answer.subarray(500_000))
    },
  })
  const stop = new AbortController()
  const through = openWindow(1_000_000, 100_000, () => stop.abort(new Error('stop')))
  const failed = server.openWire().getThrough(range(5), through.window, { signal: stop.signal })
  await assert.rejects(failed, { message: 'stop' })
  const { length } = through.steps
  await sleep(300)
  assert.equal(through.steps.length, length)
})

test('a slow answer that is overtaken in the middle leaves the bytes of the faster one, each in its place', async (t) => {
  let slow = true
  const server = await rawServer(t, {
    answer(request) {
      const answer = rangeOf(request, object)
      if (!request.head.includes('/b/slow') || !slow) return void request.socket.write(answer)
      slow = false
      request.socket.write(answer.subarray(0, 150_000))
    },
  })
  const wire = server.openWire({ timeoutMs: 20_000 })
  const length = 300_000
  for (let i = 0; i < 60; i++) await wire.getThrough(range(7), openWindow(length, 64_000).window)
  const through = openWindow(length, 64_000)
  await wire.getThrough({ ...range(7), key: 'slow' }, through.window)
  assert.ok(through.bytes.equals(object.subarray(7, 7 + length)))
  assert.equal(through.end(), length)
})

test('an answer that is not the range is handed over before a byte of it is taken', async (t) => {
  const server = await rawServer(t, { answer: ({ socket }) => void socket.write(ok(object)) })
  const through = openWindow(1000, 1000)
  const wire = server.openWire()
  await assert.rejects(wire.getThrough(range(5), through.window), HandOver)
  assert.deepEqual(through.steps, [])
  const whole = { key: 'k', offset: 0, size: 1000, etag: '"e"' }
  await assert.rejects(wire.getThrough(whole, through.window), HandOver)
})
