import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openEngine } from '../../src/transfer/engine.ts'
import type { Transfer } from '../../src/transfer/types.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'

const skip = LANE === 'sdk' && 'there is no wire in this lane'

test('parts go by wire to a store that refuses checksum headers, once the SDK lane has found that out', {
  skip,
}, async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts the requests of the wire' })
  dev.server.faults.add({ do: { kind: 'no-checksums' } })
  dev.seed({ k: 'bytes' })
  const store = await dev.openStore()
  const engine = openEngine({ concurrency: 1, memory: 64 << 20 })
  t.after(() => engine.close())
  const id = engine.attach(store)
  const piece = {
    kind: 'object' as const,
    at: 0,
    length: 5,
    store: id,
    key: 'k',
    offset: 0,
    size: 5,
    etag: '',
  }
  const get: Transfer = { id: 0, length: 5, pieces: [piece], to: { kind: 'memory' } }
  // The target is known from here on, and says nothing of checksums yet.
  await engine.move(get)
  const uploadId = await store.createUpload('up')
  for (let partNumber = 1; partNumber <= 12; partNumber++) {
    await engine.move({ ...get, to: { kind: 'part', store: id, key: 'up', uploadId, partNumber, offset: 0 } })
    // The target is asked at most once a second.
    if (partNumber === 1) await new Promise((resolve) => setTimeout(resolve, 1100))
  }
  const { handedOver } = engine.stats
  assert.deepEqual(Object.keys(handedOver), ['answer 501'])
  assert.ok((handedOver['answer 501'] ?? 0) < 4, JSON.stringify(handedOver))
})
