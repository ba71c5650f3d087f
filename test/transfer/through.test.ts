import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { monotonicMs } from '../../src/monotonic.ts'
import { BLOCK_BYTES, type Transfer } from '../../src/transfer/types.ts'
import { withDevServer } from '../support/devserver.ts'
import { testEngine } from '../support/engine.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

const MiB = 1024 * 1024

/** An engine with a thread, an object of 20 MiB, a file for its copy, and ranges of it. */
async function withLarge(t: TestContext, undisturbed?: string, memory = 64 * MiB) {
  const dev = await withDevServer(t, undisturbed === undefined ? {} : { undisturbed })
  const body = randomBytes(20 * MiB)
  dev.seed({ a: body })
  const store = await dev.openStore()
  const etag = (await store.head('a'))?.etag ?? ''
  const engine = testEngine(t, { workers: 1, lane: LANE, memory })
  const id = engine.attach(store)
  const path = join(tempDir(t), 'copy')
  writeFileSync(path, Buffer.alloc(body.length, 0xee))
  const range = (offset: number, length: number, to = path): Transfer => ({
    id: offset,
    length,
    pieces: [{ kind: 'object', at: 0, length, store: id, key: 'a', offset, size: body.length, etag }],
    to: { kind: 'file', path: to, offset },
  })
  dev.server.requests.clear()
  return { ...dev, engine, body, path, range }
}

test('ranges of a large object come to their places in the file, with the sum of each block and of all', async (t) => {
  const { engine, body, path, range } = await withLarge(t)
  const ranges = [range(0, 9 * MiB + 1), range(9 * MiB + 1, 3 * MiB), range(12 * MiB + 1, 8 * MiB - 2)]
  const results = await Promise.all(ranges.map((transfer) => engine.move(transfer)))
  const whole = Buffer.concat([body.subarray(0, -1), Buffer.alloc(1, 0xee)])
  assert.ok(readFileSync(path).equals(whole))
  for (const [i, { offset, length }] of [
    { offset: 0, length: 9 * MiB + 1 },
    { offset: 9 * MiB + 1, length: 3 * MiB },
    { offset: 12 * MiB + 1, length: 8 * MiB - 2 },
  ].entries()) {
    const part = body.subarray(offset, offset + length)
    const blocks = [part.subarray(0, BLOCK_BYTES), part.subarray(BLOCK_BYTES)].filter((b) => b.length > 0)
    assert.equal(results[i]?.crc32, crc32(part))
    assert.deepEqual(
      results[i]?.blockCrcs,
      blocks.map((block) => crc32(block)),
    )
    assert.deepEqual(results[i]?.checks, { size: 1 })
  }
})

test('a range that begins before sums are wanted has none, unless the planner knows its own', async (t) => {
  const { engine, body, path, range } = await withLarge(t)
  const [far, part] = [monotonicMs() + 3_600_000, body.subarray(0, 2 * MiB)]
  const without = await engine.move({ ...range(0, 2 * MiB), sumFrom: far })
  assert.deepEqual(
    [without.blockCrcs, without.crc32],
    LANE === 'sdk' ? [[crc32(part)], crc32(part)] : [[], 0],
  )
  assert.ok(
    readFileSync(path)
      .subarray(0, 2 * MiB)
      .equals(part),
  )
  const known = await engine.move({ ...range(0, 2 * MiB), sumFrom: far, expectCrcs: [crc32(part)] })
  assert.equal(known.crc32, crc32(part))
  assert.equal((await engine.move({ ...range(0, 2 * MiB), sumFrom: monotonicMs() })).crc32, crc32(part))
})

test('a range without the CRC that the planner knows is fetched once more, and then it is INTEGRITY', async (t) => {
  const { server, engine, body, path, range } = await withLarge(t, 'counts the requests')
  const part = body.subarray(MiB, 3 * MiB)
  const wanted = { ...range(MiB, 2 * MiB), expectCrcs: [crc32(part)] }
  server.faults.add({ match: { operation: 'GetObject', first: 1 }, do: { kind: 'flip-byte', at: 700_000 } })
  assert.equal((await engine.move(wanted)).crc32, crc32(part))
  assert.ok(
    readFileSync(path)
      .subarray(MiB, 3 * MiB)
      .equals(part),
  )
  assert.equal(server.requests.count('GetObject'), 2)
  server.requests.clear()
  server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'flip-byte', at: 700_000 } })
  await assert.rejects(engine.move(wanted), {
    code: 'INTEGRITY',
    message: /^s3:\/\/test\/a: block 0 .*, twice/,
  })
  assert.equal(server.requests.count('GetObject'), 2)
})

test('a range that breaks off in the middle is fetched again, and its sums are of the whole', async (t) => {
  const { server, engine, body, path, range } = await withLarge(t, 'counts the requests')
  server.faults.add({
    match: { operation: 'GetObject', first: 1 },
    do: { kind: 'short-body', bytes: 1_500_000 },
  })
  const done = await engine.move(range(5, 10 * MiB))
  assert.equal(done.crc32, crc32(body.subarray(5, 10 * MiB + 5)))
  assert.ok(
    readFileSync(path)
      .subarray(5, 10 * MiB + 5)
      .equals(body.subarray(5, 10 * MiB + 5)),
  )
  assert.equal(server.requests.count('GetObject'), 2)
  assert.equal(engine.stats.retries, 1)
})

test('a range that the wire hands over comes by the SDK lane to the same place', {
  skip: LANE === 'sdk' && 'there is no wire in this lane',
}, async (t) => {
  const { server, engine, body, path, range } = await withLarge(t, 'counts what is handed over')
  server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'chunked' } })
  const done = await engine.move(range(MiB, 2 * MiB))
  assert.equal(done.crc32, crc32(body.subarray(MiB, 3 * MiB)))
  assert.ok(
    readFileSync(path)
      .subarray(MiB, 3 * MiB)
      .equals(body.subarray(MiB, 3 * MiB)),
  )
  assert.deepEqual(engine.stats.handedOver, { chunked: 1 })
})

test('a full disk and a missing file are one line each, and nothing is asked for again', async (t) => {
  const { server, engine, range } = await withLarge(t, 'counts the requests')
  const full = engine.move(range(MiB, 2 * MiB, '/dev/full'))
  await assert.rejects(full, { code: 'NO_SPACE', message: '/dev/full: the disk is full' })
  assert.equal(server.requests.count('GetObject'), 1)
  await assert.rejects(engine.move(range(MiB, 2 * MiB, '/no/such/file')), { code: 'NOT_FOUND' })
})

test('an aborted range ends with the reason, and its memory goes back to the budget', async (t) => {
  const { server, engine, range } = await withLarge(t, 'is slow on purpose', 10 * MiB)
  server.faults.add({
    match: { operation: 'GetObject' },
    do: { kind: 'throttle', bytesPerSecond: 1_000_000 },
  })
  const stop = new AbortController()
  const moving = engine.move(range(MiB, 8 * MiB), { signal: stop.signal })
  setTimeout(() => stop.abort(new Error('enough')), 300)
  await assert.rejects(moving, { message: 'enough' })
  server.faults.clear()
  await Promise.all([1, 2, 3].map((offset) => engine.move(range(offset, 8 * MiB))))
})
