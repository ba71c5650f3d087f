import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLongshoreError } from '../../src/errors.ts'
import { probeConditionalWrites } from '../../src/sync/probe.ts'
import { openEngine } from '../../src/transfer/engine.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { memoryBucket } from '../support/memory-store.ts'
import { memoryPlace, PREFIX, SIGNAL } from '../support/run-log.ts'

const safe = { signal: SIGNAL, unsafeSingleWriter: false, stateDir: '/ckpt/.longshore' }

test('what the store honours is found out, and nothing is left behind', async () => {
  for (const [ignores, expected] of [
    [{}, 'all'],
    [{ completeCondition: true }, 'put'],
    [{ putCondition: true }, 'none'],
  ] as const) {
    const bucket = memoryBucket()
    Object.assign(bucket.ignores, ignores)
    const unsafeSingleWriter = expected === 'none'
    assert.equal(await probeConditionalWrites(memoryPlace(bucket), { ...safe, unsafeSingleWriter }), expected)
    assert.deepEqual([bucket.objects.size, bucket.uploads.size], [0, 0])
  }
})

test('a store that ignores conditions is refused by name, with the flag that allows it', async () => {
  const bucket = memoryBucket()
  bucket.ignores.putCondition = true
  await assert.rejects(
    probeConditionalWrites(memoryPlace(bucket), safe),
    (error) =>
      isLongshoreError(error, 'CONDITIONAL_WRITES') && (error.hint ?? '').includes('--unsafe-single-writer'),
  )
})

test('what a killed probe left goes with the next one', async () => {
  const bucket = memoryBucket()
  const object = { body: Buffer.from('1'), etag: '"1"', modified: 0, multipart: false }
  bucket.objects.set(`${PREFIX}.longshore/probe/0000`, object)
  await probeConditionalWrites(memoryPlace(bucket), safe)
  assert.equal(bucket.objects.size, 0)
})

test('a real server passes, and one that ignores conditions does not', async (t) => {
  const { server, openStore } = await withDevServer(t)
  const store = await openStore({ retries: 2 })
  const engine = openEngine({ lane: LANE, concurrency: 4, memory: 16 * 1024 * 1024 })
  t.after(() => engine.close())
  const place = { engine, store, prefix: PREFIX }
  assert.equal(await probeConditionalWrites(place, safe), 'all')
  server.faults.add({ do: { kind: 'ignore-conditions' } })
  await assert.rejects(probeConditionalWrites(place, safe), (e) => isLongshoreError(e, 'CONDITIONAL_WRITES'))
})
