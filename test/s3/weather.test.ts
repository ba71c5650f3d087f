import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDevServer } from '../support/devserver.ts'
import { weather } from '../support/lanes.ts'

test('with a fault on every fifth request, in eight ways, everything is read', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it brings the weather itself', faults: weather(5) })
  const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
  dev.seed(Object.fromEntries(keys.map((key) => [key, `the bytes of ${key}`])))
  const store = await dev.openStore()
  await Promise.all(
    keys.map(async (key) => {
      const found = await store.getDocument(key, { maxBytes: 100 })
      assert.equal(found?.bytes.toString(), `the bytes of ${key}`)
    }),
  )
  const log = dev.server.requests.all()
  assert.ok(log.length > keys.length, 'the weather was fine')
  const statuses = new Set(log.map((request) => request.status))
  assert.deepEqual([...statuses].sort(), [0, 200, 500, 503])
})
