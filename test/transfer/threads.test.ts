import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import { localStore } from '../../src/s3/local-store.ts'
import type { EngineOptions, ObjectPiece, Transfer, TransferResult } from '../../src/transfer/types.ts'
import { withDevServer } from '../support/devserver.ts'
import { testEngine } from '../support/engine.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'
import { until } from '../support/until.ts'

/** An engine whose first thread goes wrong (test/support/odd-worker.mjs), over a folder with one object. */
async function withOdd(t: TestContext, how: string, options: Partial<EngineOptions> = {}) {
  const root = tempDir(t)
  const store = localStore(root)
  const body = randomBytes(1000)
  await store.put({ key: 'k', body })
  const etag = (await store.head('k'))?.etag ?? ''
  process.env.ODD_WORKER = how
  const workerFile = new URL('../support/odd-worker.mjs', import.meta.url)
  const engine = testEngine(t, { workers: 2, ...options }, { workerFile })
  const id = engine.attach(store)
  const whole = (name: string, n = 1): Transfer => {
    const path = join(root, name)
    const piece: ObjectPiece = {
      ...{ kind: 'object', at: 0, length: 1000, store: id },
      ...{ key: 'k', offset: 0, size: 1000, etag },
    }
    const to = { kind: 'whole' as const, temp: `${path}.tmp`, path, mode: 0o644, durable: false }
    return { id: n, length: 1000, pieces: [piece], to }
  }
  return { engine, whole, root, body }
}

for (const how of ['exit', 'throw']) {
  test(`the work of a thread that died (${how}) is done by another`, async (t) => {
    const { engine, whole, root, body } = await withOdd(t, how)
    const results: TransferResult[] = []
    const plan = Array.from({ length: 5 }, (_, i) => whole(`f${i}`, i))
    await engine.run(plan, { onResult: (r) => results.push(r) })
    assert.deepEqual(
      results.map((r) => r.ok),
      [true, true, true, true, true],
    )
    for (let i = 0; i < 5; i++) assert.deepEqual(readFileSync(join(root, `f${i}`)), body)
    assert.equal(engine.stats.workers, 2)
  })
}

test('when threads die one after the other, the transfer they died under fails, and the rest is done without them', async (t) => {
  const { engine, whole, root, body } = await withOdd(t, 'always')
  await assert.rejects(engine.move(whole('f')), { code: 'INTERNAL', message: /worker thread died/ })
  await assert.rejects(engine.move(whole('f')), { code: 'INTERNAL', message: /worker thread died/ })
  await engine.move(whole('f'))
  assert.deepEqual(readFileSync(join(root, 'f')), body)
})

test('an engine that expects work boots one thread ahead of it, and that one does the first transfer', async (t) => {
  const { engine, whole, root, body } = await withOdd(t, 'none', { early: true })
  assert.equal(engine.stats.workers, 1)
  await engine.move(whole('f'))
  assert.deepEqual(readFileSync(join(root, 'f')), body)
  assert.equal(engine.stats.workers, 1)
})

test('a thread for large ranges starts when the others have large ones to do, not for many small ones', async (t) => {
  const root = tempDir(t)
  const store = localStore(root)
  const part = 8 * 1024 * 1024
  const size = 8 * part
  truncateSync(openNew(join(root, 'large')), size)
  const etag = (await store.head('large'))?.etag ?? ''
  const engine = testEngine(t, { workers: 2, workersForLarge: 1, memory: 256 * 1024 * 1024 })
  const id = engine.attach(store)
  const path = openNew(join(root, 'copy'))
  const pieceOf = (n: number, length: number): Transfer => {
    const offset = n * length
    const piece: ObjectPiece = { kind: 'object', at: 0, length, store: id, key: 'large', offset, size, etag }
    return { id: n, length, pieces: [piece], to: { kind: 'file', path, offset } }
  }
  const run = (count: number, length: number) =>
    engine.run(
      Array.from({ length: count }, (_, n) => pieceOf(n, length)),
      { onResult: (result) => assert.ok(result.ok) },
    )
  await run(300, 16_000)
  assert.equal(engine.stats.workers, 1)
  await run(8, part)
  assert.equal(engine.stats.workers, 2)
})

test('without threads there is none to boot', async (t) => {
  const { engine } = await withOdd(t, 'none', { early: true, workers: 0 })
  assert.equal(engine.stats.workers, 0)
})

test('a thread that dies while it boots is replaced when there is work', async (t) => {
  const { engine, whole, root, body } = await withOdd(t, 'boot', { early: true })
  await engine.move(whole('f'))
  assert.deepEqual(readFileSync(join(root, 'f')), body)
  assert.equal(engine.stats.workers, 2)
})

test('a thread that spins is noticed, its transfers fail, and the next ones go to another', async (t) => {
  const { engine, whole, root } = await withOdd(t, 'spin', { stuckMs: 400 })
  await assert.rejects(engine.move(whole('f')), { code: 'INTERNAL', message: /has not answered/ })
  await engine.move(whole('f'))
  assert.ok(existsSync(join(root, 'f')))
})

test('a thread whose disk hangs is STUCK, naming the file, small or large', async (t) => {
  for (const kind of ['whole', 'file'] as const) {
    const { engine, whole, root } = await withOdd(t, 'disk', { stuckMs: 400 })
    const path = join(root, 'f')
    const transfer = whole('f')
    const move = engine.move(kind === 'whole' ? transfer : { ...transfer, to: { kind, path, offset: 0 } })
    await assert.rejects(move, (error: unknown) => {
      assert.ok(error instanceof LongshoreError)
      assert.equal(error.code, 'STUCK')
      assert.equal(error.path, path)
      return true
    })
  }
})

test('a closed engine says which of its threads a disk still holds', async (t) => {
  const pipe = join(tempDir(t), 'pipe')
  execFileSync('mkfifo', [pipe])
  const engine = testEngine(t, { workers: 1, stuckMs: 100 })
  // Opening a pipe that nobody writes to blocks in the kernel, as a dead NFS mount does.
  const pieces = [{ kind: 'file' as const, at: 0, length: 1, path: pipe, offset: 0 }]
  await assert.rejects(engine.move({ id: 1, length: 1, pieces, to: { kind: 'memory' } }), { code: 'STUCK' })
  await engine.close()
  assert.equal(engine.stats.alive, 1)
  closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
  await until(() => engine.stats.alive === 0, { times: 2000, everyMs: 5 })
})

const noWire = LANE === 'sdk' && 'there is no wire in this lane'

test('what a thread does not understand is asked of the SDK on the main thread, and the bytes come to their place', {
  skip: noWire,
}, async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'counts what is handed over' })
  const body = randomBytes(50_000)
  dev.seed({ a: body })
  const store = await dev.openStore()
  const etag = (await store.head('a'))?.etag ?? ''
  const engine = testEngine(t, { workers: 1 })
  const id = engine.attach(store)
  dev.server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'chunked' } })
  dev.server.requests.clear()
  const piece = {
    kind: 'object' as const,
    at: 0,
    length: 50_000,
    store: id,
    key: 'a',
    offset: 0,
    size: 50_000,
    etag,
  }
  const done = await engine.move({ id: 1, length: 50_000, pieces: [piece], to: { kind: 'memory' } })
  assert.ok(body.equals(done.body ?? Buffer.alloc(0)))
  assert.deepEqual(Object.values(engine.stats.handedOver), [1])
  const uploadId = await store.createUpload('up')
  dev.server.faults.add({ match: { operation: 'UploadPart', first: 1 }, do: { kind: 'status', status: 400 } })
  const to = { kind: 'part' as const, store: id, key: 'up', uploadId, partNumber: 1, offset: 0 }
  const part = await engine.move({ id: 2, length: 50_000, pieces: [piece], to })
  const parts = [{ partNumber: 1, etag: part.etag ?? '', size: 50_000, crc32: part.crc32 }]
  await store.completeUpload({ key: 'up', uploadId, parts, size: 50_000 })
  assert.deepEqual(dev.server.objects.get('test', 'up'), body)
})

test('a part of many objects and known bytes is put together by a thread', async (t) => {
  const root = tempDir(t)
  const store = localStore(root)
  const body = randomBytes(64)
  await store.put({ key: 'k', body })
  const etag = (await store.head('k'))?.etag ?? ''
  const engine = testEngine(t, { workers: 1 })
  const id = engine.attach(store)
  const pieces: Transfer['pieces'] = Array.from({ length: 200 }, (_, i) =>
    i % 2 === 0
      ? { kind: 'object', at: i * 64, length: 64, store: id, key: 'k', offset: 0, size: 64, etag }
      : { kind: 'bytes', at: i * 64, length: 64, bytes: Buffer.alloc(64, i) },
  )
  const uploadId = await store.createUpload('shard')
  const to = { kind: 'part' as const, store: id, key: 'shard', uploadId, partNumber: 1, offset: 0 }
  const { etag: partEtag = '', crc32 } = await engine.move({ id: 1, length: 12_800, pieces, to })
  const parts = [{ partNumber: 1, etag: partEtag, size: 12_800, crc32 }]
  await store.completeUpload({ key: 'shard', uploadId, parts, size: 12_800 })
  const expected = pieces.map((piece) => (piece.kind === 'bytes' ? piece.bytes : body))
  assert.deepEqual(readFileSync(join(root, 'shard')), Buffer.concat(expected))
})

test('threads hold the process while they work, and not a moment longer, even when nobody closes the engine', (t) => {
  const dir = tempDir(t)
  writeFileSync(join(dir, 'k'), 'abc')
  const script = join(import.meta.dirname, '../support/idle-engine.ts')
  const child = spawnSync(process.execPath, ['--import', 'tsx', script, dir], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  assert.deepEqual([child.status, child.stdout, child.stderr], [0, 'abc', ''])
})

function openNew(path: string): string {
  writeFileSync(path, '')
  return path
}
