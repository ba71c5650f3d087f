import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDrain } from '../../src/sync/drain.ts'

test('asking for the end stops nothing that is under way', (t) => {
  const drain = createDrain()
  t.after(() => drain.dispose())
  drain.begin({ final: false })
  assert.equal(drain.ask.aborted, true)
  assert.equal(drain.stop.aborted, false)
  assert.equal(drain.final, false)
})

test('once CMD has ended the end is final, whatever asked for it first', (t) => {
  const drain = createDrain()
  t.after(() => drain.dispose())
  drain.begin({ final: false })
  drain.begin({ final: true })
  drain.begin({ final: false })
  assert.equal(drain.final, true)
})

test('the earliest limit holds, and names what it cuts short', async (t) => {
  const drain = createDrain()
  t.after(() => drain.dispose())
  drain.limit(1)
  drain.limit(3_600_000)
  if (!drain.stop.aborted) await new Promise((resolve) => drain.stop.addEventListener('abort', resolve))
  assert.equal(drain.stop.reason.code, 'NOT_DRAINED')
  assert.equal(drain.stop.reason.exit, 75)
})
