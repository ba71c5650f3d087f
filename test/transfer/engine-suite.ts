import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test as nodeTest, type TestContext } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { localStore } from '../../src/s3/local-store.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import {
  BLOCK_BYTES,
  type EngineOptions,
  type ObjectPiece,
  type Place,
  type Transfer,
  type TransferResult,
} from '../../src/transfer/types.ts'
import { withDevServer } from '../support/devserver.ts'
import { testEngine } from '../support/engine.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

const MiB = 1024 * 1024

/** Every promise of the engine, whichever threads move the bytes. */
export function engineSuite(workers: number): void {
  const where = workers === 0 ? 'in one thread' : `with ${workers} workers`
  const test = (name: string, run: (t: TestContext) => void | Promise<void>) =>
    nodeTest(`${where}: ${name}`, run)
  const engineFor = (t: TestContext, options: Partial<EngineOptions> = {}) =>
    testEngine(t, { lane: LANE, workers, ...options })

  test('a transfer gathers objects, files and known bytes into one buffer, with its sums', async (t) => {
    const [a, b] = [randomBytes(3000), randomBytes(9 * MiB)]
    const { store, piece } = await withObjects(t, { a, b })
    const file = join(tempDir(t), 'f')
    const local = randomBytes(500)
    writeFileSync(file, local)
    const engine = engineFor(t)
    engine.attach(store)
    const done = await engine.move({
      id: 7,
      length: 2 + 3000 + 400 + 8 * MiB,
      pieces: [
        { kind: 'bytes', at: 0, length: 2, bytes: Buffer.from('hi') },
        { ...piece('a'), at: 2 },
        { kind: 'file', at: 3002, length: 400, path: file, offset: 100 },
        { ...piece('b', MiB, 8 * MiB), at: 3402 },
      ],
      to: { kind: 'memory' },
    })
    const expected = Buffer.concat([Buffer.from('hi'), a, local.subarray(100), b.subarray(MiB)])
    assert.ok(expected.equals(done.body ?? Buffer.alloc(0)))
    assert.equal(done.crc32, crc32(expected))
    assert.deepEqual(done.blockCrcs, [
      crc32(expected.subarray(0, BLOCK_BYTES)),
      crc32(expected.subarray(BLOCK_BYTES)),
    ])
    assert.deepEqual(done.checks, { size: 2 })
    assert.equal(engine.stats.requests.GET, 2)
  })

  test('every place gets the bytes: part, object, a place in a file, a whole file', async (t) => {
    const a = randomBytes(100_000)
    const { dev, store, piece } = await withObjects(t, { a })
    const dir = tempDir(t)
    const engine = engineFor(t)
    const id = engine.attach(store)
    const object = await engine.move(
      one(piece('a'), { kind: 'object', store: id, key: 'copy', absent: true }),
    )
    assert.ok(object.etag)
    assert.deepEqual(dev.server.objects.get('test', 'copy'), a)
    const taken = await engine.move(one(piece('a'), { kind: 'object', store: id, key: 'copy', absent: true }))
    assert.equal(taken.exists, true)

    const uploadId = await store.createUpload('mp')
    const part = await engine.move(
      one(piece('a'), { kind: 'part', store: id, key: 'mp', uploadId, partNumber: 1, offset: 0 }),
    )
    const parts = [{ partNumber: 1, etag: part.etag ?? '', size: a.length, crc32: part.crc32 }]
    await store.completeUpload({ key: 'mp', uploadId, parts, size: a.length, condition: 'absent' })
    assert.deepEqual(dev.server.objects.get('test', 'mp'), a)

    const path = join(dir, 'in-place')
    writeFileSync(path, Buffer.alloc(100_010))
    await engine.move(one(piece('a'), { kind: 'file', path, offset: 10 }))
    assert.deepEqual(readFileSync(path).subarray(10), a)

    const whole = join(dir, 'whole')
    writeFileSync(`${whole}.tmp`, 'left by a killed run')
    await engine.move(
      one(piece('a'), { kind: 'whole', temp: `${whole}.tmp`, path: whole, mode: 0o666, durable: true }),
    )
    assert.deepEqual(readFileSync(whole), a)
    assert.equal(statSync(whole).mode & 0o777, 0o666)
    assert.deepEqual(readdirSync(dir).sort(), ['in-place', 'whole'])
  })

  test('a part that is written again after its file was made anew goes into the new file', async (t) => {
    const a = randomBytes(1000)
    const { store, piece } = await withObjects(t, { a })
    const engine = engineFor(t)
    engine.attach(store)
    const path = join(tempDir(t), 'f')
    for (const round of [1, 2]) {
      writeFileSync(`${path}.new`, Buffer.alloc(1000, round))
      const { renameSync } = await import('node:fs')
      renameSync(`${path}.new`, path)
      await engine.move(one(piece('a'), { kind: 'file', path, offset: 0 }))
      assert.deepEqual(readFileSync(path), a)
    }
  })

  test('whole objects are checked by the checksum the server keeps, and the result says so', async (t) => {
    const a = randomBytes(5000)
    const { store } = await withObjects(t, {})
    await store.put({ key: 'a', body: a, crc32: crc32(a) })
    const engine = engineFor(t)
    const id = engine.attach(store)
    const done = await engine.move(
      one({ kind: 'object', at: 0, length: 5000, store: id, key: 'a', offset: 0, size: 5000, etag: '' }),
    )
    assert.deepEqual(done.checks, { crc32: 1 })
  })

  test('an object of size 0 is never asked for with a Range', async (t) => {
    const { dev, store, piece } = await withObjects(t, { empty: Buffer.alloc(0) })
    const engine = engineFor(t)
    engine.attach(store)
    const done = await engine.move(one(piece('empty')))
    assert.equal(done.bytes, 0)
    assert.deepEqual(done.blockCrcs, [])
    assert.equal(dev.server.requests.all()[0]?.range, undefined)
  })

  test('a flipped byte is noticed and the bytes are fetched again', async (t) => {
    const a = randomBytes(20_000)
    const { dev, store, piece } = await withObjects(t, { a })
    const engine = engineFor(t)
    engine.attach(store)
    dev.server.faults.add({ match: { operation: 'GetObject', first: 1 }, do: { kind: 'flip-byte', at: 77 } })
    const done = await engine.move({ ...one(piece('a', 1, 19_999)), expectCrcs: [crc32(a.subarray(1))] })
    assert.ok(a.subarray(1).equals(done.body ?? Buffer.alloc(0)))
    assert.equal(dev.server.requests.count('GetObject'), 2)
  })

  test('a byte that stays wrong is INTEGRITY, naming the object and the block', async (t) => {
    const a = randomBytes(20_000)
    const { dev, store, piece } = await withObjects(t, { a })
    const engine = engineFor(t)
    engine.attach(store)
    dev.server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'flip-byte', at: 77 } })
    await assert.rejects(engine.move({ ...one(piece('a', 1, 19_999)), expectCrcs: [crc32(a.subarray(1))] }), {
      code: 'INTEGRITY',
      message: /^s3:\/\/test\/a: block 0 has CRC-32 /,
    })
  })

  test('503s, resets and short bodies are ridden out, and 503 lowers the concurrency', async (t) => {
    const objects = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, randomBytes(30_000)]))
    const { dev, store, piece } = await withObjects(t, objects)
    const engine = engineFor(t, { concurrency: 'auto' })
    engine.attach(store)
    const get = { operation: 'GetObject' as const }
    dev.server.faults.add({ match: { ...get, first: 10 }, do: { kind: 'status', status: 503 } })
    dev.server.faults.add({
      match: { ...get, every: 7, first: 4 },
      do: { kind: 'reset', afterBytes: 10_000 },
    })
    dev.server.faults.add({ match: { ...get, every: 9, first: 3 }, do: { kind: 'short-body', bytes: 500 } })
    const bodies = new Map<number, TransferResult>()
    const plan = Object.keys(objects).map((key, i) => one(piece(key), { kind: 'memory' }, i))
    await engine.run(plan, { onResult: (r) => bodies.set(r.id, r) })
    for (const [i, body] of Object.values(objects).entries()) {
      const result = bodies.get(i)
      assert.ok(result?.ok && body.equals(result.body ?? Buffer.alloc(0)))
    }
    assert.ok(engine.stats.slowdowns > 0)
    assert.ok(engine.stats.concurrency < 32)
    assert.ok(engine.stats.retries >= 10)
  })

  test('an object that changed since it was listed fails alone, naming itself and its piece', async (t) => {
    const { dev, store, piece } = await withObjects(t, { a: Buffer.from('aaaa'), b: Buffer.from('bbbb') })
    dev.seed({ b: Buffer.from('BBBB') })
    const engine = engineFor(t)
    engine.attach(store)
    const results: TransferResult[] = []
    const pair = {
      id: 1,
      length: 8,
      pieces: [piece('a'), { ...piece('b'), at: 4 }],
      to: { kind: 'memory' as const },
    }
    await engine.run([pair, one(piece('a'), { kind: 'memory' }, 2)], { onResult: (r) => results.push(r) })
    results.sort((x, y) => x.id - y.id)
    const [failed, fine] = results
    assert.ok(failed && !failed.ok)
    assert.equal(failed.error.code, 'SOURCE_CHANGED')
    assert.equal(failed.error.path, 's3://test/b')
    assert.equal(failed.piece, 1)
    assert.equal(fine?.ok, true)
  })

  test('buffers stay within the budget however much is asked, and a length over it is refused', async (t) => {
    const big = randomBytes(4 * MiB)
    const { store, piece } = await withObjects(t, { big })
    const engine = engineFor(t, { memory: 10 * MiB, concurrency: 32 })
    engine.attach(store)
    let count = 0
    const sink = join(tempDir(t), 'sink')
    writeFileSync(sink, '')
    const plan = Array.from({ length: 12 }, (_, i) =>
      one(piece('big'), { kind: 'file', path: sink, offset: 0 }, i),
    )
    await engine.run(plan, {
      onResult(r) {
        assert.ok(r.ok)
        count++
      },
    })
    assert.equal(count, 12)
    assert.ok(engine.stats.peakBuffer <= 10 * MiB)
    const wide = { id: 1, length: 11 * MiB, pieces: [], to: { kind: 'memory' as const } }
    await assert.rejects(engine.move(wide), { code: 'USAGE' })
  })

  test('an abort ends what is in flight and what waits, with the reason of the signal', async (t) => {
    const { dev, store, piece } = await withObjects(t, { a: randomBytes(1000) })
    const engine = engineFor(t, { concurrency: 2 })
    engine.attach(store)
    dev.server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'stall' } })
    const controller = new AbortController()
    const plan = Array.from({ length: 50 }, (_, i) => one(piece('a'), { kind: 'memory' }, i))
    const run = engine.run(plan, {
      signal: controller.signal,
      onResult: () => assert.fail('no result expected'),
    })
    const move = engine.move(one(piece('a')), { signal: controller.signal })
    const document = engine.readDocument(store, 'a', { signal: controller.signal })
    setImmediate(() => controller.abort(new Error('enough')))
    await Promise.all([run, move, document].map((all) => assert.rejects(all, { message: 'enough' })))
  })

  test('a throw of onResult or of the plan ends the run with that error', async (t) => {
    const { store, piece } = await withObjects(t, { a: randomBytes(1000) })
    const engine = engineFor(t)
    engine.attach(store)
    const plan = Array.from({ length: 20 }, (_, i) => one(piece('a'), { kind: 'memory' }, i))
    const refuse = () => {
      throw new Error('mine')
    }
    await assert.rejects(engine.run(plan, { onResult: refuse }), { message: 'mine' })
    async function* broken() {
      yield* plan
      throw new Error('the plan is broken')
    }
    await assert.rejects(engine.run(broken(), { onResult() {} }), { message: 'the plan is broken' })
  })

  test('pieces that leave a hole are refused: it would hold bytes of another transfer', async (t) => {
    const engine = engineFor(t)
    const pieces = [{ kind: 'bytes' as const, at: 1, length: 3, bytes: Buffer.from('abc') }]
    await assert.rejects(engine.move({ id: 1, length: 4, pieces, to: { kind: 'memory' } }), {
      code: 'INTERNAL',
    })
  })

  test('documents are read and written under their conditions, through the same engine', async (t) => {
    const engine = engineFor(t)
    const store = localStore(tempDir(t))
    assert.equal(await engine.readDocument(store, 'd'), undefined)
    const first = await engine.writeDocument(store, 'd', Buffer.from('1'), { condition: 'absent' })
    assert.equal(first.status, 'written')
    assert.deepEqual(await engine.writeDocument(store, 'd', Buffer.from('2'), { condition: 'absent' }), {
      status: 'exists',
    })
    assert.equal((await engine.readDocument(store, 'd'))?.bytes.toString(), '1')
    await assert.rejects(engine.readDocument(store, 'd', { maxBytes: 0 }), { code: 'INTEGRITY' })
  })

  test('a local disk that does not answer is STUCK, and whoever opened the engine is told', async (t) => {
    const { execFileSync } = await import('node:child_process')
    const { openSync, closeSync, constants } = await import('node:fs')
    const pipe = join(tempDir(t), 'pipe')
    execFileSync('mkfifo', [pipe])
    const told: string[] = []
    const engine = engineFor(t, { stuckMs: 50, onStuck: ({ code, path }) => told.push(`${code} ${path}`) })
    // Opening a pipe that nobody writes to blocks in the kernel, as a dead NFS mount does.
    const pieces = [{ kind: 'file' as const, at: 0, length: 1, path: pipe, offset: 0 }]
    await assert.rejects(engine.move({ id: 1, length: 1, pieces, to: { kind: 'memory' } }), { code: 'STUCK' })
    assert.deepEqual(told, [`STUCK ${pipe}`])
    closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
  })

  test('a run whose disk died says so and ends, though not even a file can be closed any more', async (t) => {
    const { execFileSync } = await import('node:child_process')
    const { openSync, closeSync, constants } = await import('node:fs')
    const dir = tempDir(t)
    // As many as the pool has threads: whatever comes after them waits as well, close() too.
    const pipes = Array.from({ length: 4 }, (_, i) => join(dir, `pipe${i}`))
    execFileSync('mkfifo', pipes)
    const told = new Set<string>()
    const engine = engineFor(t, { stuckMs: 100, onStuck: ({ path = '' }) => told.add(path) })
    const file = join(dir, 'file')
    writeFileSync(file, '')
    const codes: string[] = []
    let first = () => {}
    const kept = new Promise<void>((resolve) => {
      first = resolve
    })
    async function* plan(): AsyncGenerator<Transfer> {
      const bytes = Buffer.from('x')
      const pieces = [{ kind: 'bytes' as const, at: 0, length: 1, bytes }]
      yield { id: 0, length: 1, pieces, to: { kind: 'file', path: file, offset: 0 } }
      await kept
      for (const [i, path] of pipes.entries()) {
        const piece = { kind: 'file' as const, at: 0, length: 1, path, offset: 0 }
        yield { id: i + 1, length: 1, pieces: [piece], to: { kind: 'memory' } }
      }
    }
    let mended = false
    const mend = setTimeout(() => {
      mended = true
      for (const pipe of pipes) closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
    }, 5000)
    await engine.run(plan(), {
      onResult(result) {
        if (!result.ok) codes.push(result.error.code)
        first()
      },
    })
    assert.equal(mended, false)
    assert.deepEqual(codes, ['STUCK', 'STUCK', 'STUCK', 'STUCK'])
    assert.deepEqual([...told].sort(), pipes)
    clearTimeout(mend)
    for (const pipe of pipes) closeSync(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
  })

  test('a missing folder and a full disk are one line each', async (t) => {
    const engine = engineFor(t)
    const dir = tempDir(t)
    const whole = (path: string): Transfer => ({
      id: 1,
      length: 1,
      pieces: [{ kind: 'bytes', at: 0, length: 1, bytes: Buffer.from('x') }],
      to: { kind: 'whole', temp: `${path}.tmp`, path, mode: 0o644, durable: false },
    })
    await assert.rejects(engine.move(whole(join(dir, 'no', 'f'))), { code: 'NOT_FOUND' })
    const full = { ...whole(''), to: { kind: 'file' as const, path: '/dev/full', offset: 0 } }
    await assert.rejects(engine.move(full), { code: 'NO_SPACE', message: '/dev/full: the disk is full' })
  })

  test('the rate limit holds for what goes in and out together', async (t) => {
    const { store, piece } = await withObjects(t, { a: randomBytes(50_000) })
    const engine = engineFor(t, { bwlimit: 500_000 })
    engine.attach(store)
    const start = performance.now()
    const plan = Array.from({ length: 5 }, (_, i) => one(piece('a'), { kind: 'memory' }, i))
    await engine.run(plan, { onResult: (r) => assert.ok(r.ok) })
    // A floor only: how much longer it takes is the machine's business.
    assert.ok(performance.now() - start >= 450)
  })

  test('thousands of small transfers need the memory of a few', async (t) => {
    const root = tempDir(t)
    const store = localStore(root)
    const body = randomBytes(16 * 1024)
    await store.put({ key: 'k', body })
    const info = await store.head('k')
    const engine = engineFor(t, { memory: 4 * MiB, concurrency: 32 })
    const id = engine.attach(store)
    const piece: ObjectPiece = {
      kind: 'object',
      at: 0,
      length: body.length,
      store: id,
      key: 'k',
      offset: 0,
      size: body.length,
      etag: info?.etag ?? '',
    }
    const sink = join(root, 'sink')
    writeFileSync(sink, '')
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    const plan = Array.from({ length: 3000 }, (_, i) =>
      one(piece, { kind: 'file', path: sink, offset: 0 }, i),
    )
    await engine.run(plan, {
      onResult: (r) => {
        assert.ok(r.ok)
        most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      },
    })
    assert.ok(engine.stats.peakBuffer <= 4 * MiB)
    assert.ok(most <= 8 * MiB, `${most} bytes of buffers`)
  })

  test('a store that is attached twice has one id', (t) => {
    const engine = engineFor(t)
    const store: ObjectStore = localStore('/x')
    assert.equal(engine.attach(store), engine.attach(store))
  })
}

async function withObjects(t: TestContext, objects: Record<string, Buffer>) {
  const dev = await withDevServer(t, { undisturbed: 'its tests bring their own trouble, and count' })
  dev.seed(objects)
  const store = await dev.openStore({ timeoutMs: 1000 })
  const etags = new Map<string, string>()
  for (const key of Object.keys(objects)) etags.set(key, (await store.head(key))?.etag ?? '')
  dev.server.requests.clear()
  const piece = (key: string, offset = 0, length = (objects[key]?.length ?? 0) - offset): ObjectPiece => ({
    kind: 'object',
    at: 0,
    length,
    store: store.url,
    key,
    offset,
    size: objects[key]?.length ?? 0,
    etag: etags.get(key) ?? '',
  })
  return { dev, store, piece }
}

function one(piece: ObjectPiece, to: Place = { kind: 'memory' }, id = 1): Transfer {
  return { id, length: piece.length, pieces: [piece], to }
}
