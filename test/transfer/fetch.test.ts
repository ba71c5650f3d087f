import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Transfer, TransferDone } from '../../src/transfer/types.ts'
import { withDevServer } from '../support/devserver.ts'
import { testEngine } from '../support/engine.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

for (const workers of [0, 1]) {
  test(`what is awaited in memory does not wait for all that goes to files (workers: ${workers})`, async (t) => {
    const dev = await withDevServer(t, { undisturbed: 'counts the requests' })
    const keys = Array.from({ length: 30 }, (_, i) => `f${i}`)
    dev.seed({ ...Object.fromEntries(keys.map((key) => [key, key])), asked: 'asked' })
    dev.server.faults.add({ do: { kind: 'delay', ms: 15 } })
    const store = await dev.openStore()
    const engine = testEngine(t, { workers, concurrency: 1, lane: LANE })
    const id = engine.attach(store)
    const dir = tempDir(t)
    const transfer = (key: string, to: Transfer['to']): Transfer => {
      const piece = { kind: 'object' as const, at: 0, length: key.length, store: id, key, offset: 0 }
      return {
        id: keys.indexOf(key),
        length: key.length,
        pieces: [{ ...piece, size: key.length, etag: '' }],
        to,
      }
    }
    const files = keys.map((key) => {
      const path = join(dir, key)
      return transfer(key, { kind: 'whole', temp: `${path}.tmp`, path, mode: 0o644, durable: false })
    })
    let asked: Promise<TransferDone> | undefined
    await engine.run(files, {
      onResult(result) {
        assert.ok(result.ok)
        asked ??= engine.move(transfer('asked', { kind: 'memory' }))
      },
    })
    assert.equal(Buffer.from((await asked)?.body ?? []).toString(), 'asked')
    const order = dev.server.requests.all().map(({ key }) => key)
    const at = order.indexOf('asked')
    assert.ok(at > 0 && at < keys.length / 2, String(at))
  })
}
