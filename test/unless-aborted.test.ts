import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unlessAborted } from '../src/unless-aborted.ts'

test("an abort is not kept waiting, and what fails after it is nobody else's trouble", async (t) => {
  const unhandled: unknown[] = []
  const note = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', note)
  t.after(() => process.off('unhandledRejection', note))
  for (const moment of ['before', 'meanwhile'] as const) {
    const stop = new AbortController()
    let fail = (_: Error): void => {}
    const work = new Promise<never>((_, reject) => {
      fail = reject
    })
    if (moment === 'before') stop.abort(new Error('enough'))
    const waiting = unlessAborted(work, stop.signal)
    stop.abort(new Error('enough'))
    await assert.rejects(waiting, { message: 'enough' })
    fail(new Error('too late'))
    await new Promise(setImmediate)
  }
  assert.deepEqual(unhandled, [])
})

test('without an abort, a result and a failure are passed on', async () => {
  const { signal } = new AbortController()
  assert.equal(await unlessAborted(Promise.resolve(7), signal), 7)
  assert.equal(await unlessAborted(Promise.resolve(7), undefined), 7)
  await assert.rejects(unlessAborted(Promise.reject(new Error('no')), signal), { message: 'no' })
})
