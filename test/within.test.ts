import assert from 'node:assert/strict'
import { test } from 'node:test'
import { within } from '../src/within.ts'

test('what resolves in time is true, what does not is false, and no timer stays', async () => {
  assert.equal(await within(Promise.resolve(), 60_000), true)
  assert.equal(await within(new Promise(() => {}), 5), false)
  assert.ok(!process.getActiveResourcesInfo().includes('Timeout'))
})
