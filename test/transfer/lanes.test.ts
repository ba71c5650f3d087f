import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import { HandOver, type WireStore, type WireTarget } from '../../src/s3/wire/types.ts'
import { openLanes } from '../../src/transfer/lanes.ts'
import { openRoute } from '../../src/transfer/route.ts'
import type { EngineOptions, Transfer } from '../../src/transfer/types.ts'
import { testEngine } from '../support/engine.ts'
import { memoryBucket, memoryStore } from '../support/memory-store.ts'

const TARGET: WireTarget = {
  ...{ url: 's3://memory', bucket: 'memory', endpoint: undefined, secure: false, host: '127.0.0.1', port: 9 },
  ...{ authority: '127.0.0.1:9', base: '/memory/', region: 'r', credentials: undefined, clockOffset: 0 },
  ...{ headers: {}, noChecksums: false, ca: undefined, rejectUnauthorized: true, timeoutMs: 100, retries: 0 },
}

/** A bucket in memory with both lanes; `wire` is what the wire's GET and PUT do before they succeed. */
function withLanes(
  t: TestContext,
  about: {
    wire: () => void
    target?: () => WireTarget | { reason: string }
    sdk?: () => Promise<void>
    options?: Partial<EngineOptions>
  },
) {
  const bucket = memoryBucket()
  const body = randomBytes(100)
  bucket.objects.set('k', { body, etag: '"e"', modified: 0, multipart: false })
  const sdk = memoryStore(bucket)
  const seen = { wire: 0, sdk: 0, asked: 0, most: 0, targets: [] as WireTarget[], closed: 0 }
  let now = 0
  const counted = async <T>(work: () => Promise<T>): Promise<T> => {
    seen.sdk++
    now++
    seen.most = Math.max(seen.most, now)
    try {
      await about.sdk?.()
      return await work()
    } finally {
      now--
    }
  }
  const store: ObjectStore = {
    ...sdk,
    getInto: (request, into) => counted(() => sdk.getInto(request, into)),
    putPart: (request) => counted(() => sdk.putPart(request)),
    async wire() {
      seen.asked++
      return about.target?.() ?? TARGET
    },
  }
  const openWire = (target: WireTarget): WireStore => {
    seen.targets.push(target)
    const attempt = () => {
      seen.wire++
      about.wire()
    }
    return {
      url: target.url,
      async getInto(request, into) {
        attempt()
        return sdk.getInto(request, into)
      },
      async getThrough() {
        throw new HandOver('no windows')
      },
      async putPart(request) {
        attempt()
        return sdk.putPart(request)
      },
      update: (changed) => seen.targets.push(changed),
      close: () => seen.closed++,
    }
  }
  const engine = testEngine(t, about.options, { loadWire: async () => openWire })
  const id = engine.attach(store)
  const get = (n = 1): Transfer => ({
    id: n,
    length: 100,
    pieces: [{ kind: 'object', at: 0, length: 100, store: id, key: 'k', offset: 0, size: 100, etag: '"e"' }],
    to: { kind: 'memory' },
  })
  return { engine, get, seen, body, sdk, id }
}

const refuse = (reason: string) => () => {
  throw new HandOver(reason)
}

test('GETs and parts go by wire, conditional writes by the SDK, and nothing was handed over', async (t) => {
  const { engine, get, seen, body, sdk, id } = withLanes(t, { wire() {} })
  assert.deepEqual((await engine.move(get())).body, body)
  const uploadId = await sdk.createUpload('up')
  const to = { kind: 'part' as const, store: id, key: 'up', uploadId, partNumber: 1, offset: 0 }
  await engine.move({ ...get(), to })
  assert.deepEqual([seen.wire, seen.sdk, seen.asked], [3, 0, 1])
  await engine.move({ ...get(), to: { kind: 'object', store: id, key: 'o', absent: true } })
  assert.deepEqual([seen.wire, seen.sdk], [4, 0])
  assert.deepEqual(engine.stats.handedOver, {})
})

test('what the wire hands over is the same single request by the SDK lane, counted by its reason', async (t) => {
  const { engine, get, seen, body } = withLanes(t, { wire: refuse('chunked') })
  assert.deepEqual((await engine.move(get())).body, body)
  assert.deepEqual([seen.wire, seen.sdk], [1, 1])
  assert.deepEqual(engine.stats.handedOver, { chunked: 1 })
})

test('a failure that the wire understands is not asked of the SDK once more', async (t) => {
  const { engine, get, seen } = withLanes(t, {
    wire() {
      throw new LongshoreError('SERVER', 'down to the end of all retries')
    },
  })
  await assert.rejects(engine.move(get()), { code: 'SERVER' })
  assert.equal(seen.sdk, 0)
})

test('few requests that were handed over run at once', async (t) => {
  const { engine, get, seen } = withLanes(t, {
    wire: refuse('chunked'),
    sdk: () => new Promise((resolve) => setTimeout(resolve, 2)),
    options: { concurrency: 64 },
  })
  const plan = Array.from({ length: 18 }, (_, i) => get(i))
  await engine.run(plan, { onResult: (r) => assert.ok(r.ok) })
  assert.equal(seen.sdk, 18)
  assert.ok(seen.most <= 8, `${seen.most} at once`)
})

test('a wire that is handed over again and again is left, and tried again later', async () => {
  let time = 0
  const counts: Record<string, number> = {}
  const store = { ...memoryStore(memoryBucket()), wire: async () => TARGET }
  const route = openRoute(store, {
    lane: 'wire',
    count(reason) {
      counts[reason] = (counts[reason] ?? 0) + 1
    },
    onTarget() {},
    now: () => time,
  })
  assert.ok(await route.target('GET'))
  const over = (served: number) =>
    route.handOver({ kind: 'GET', reason: 'chunked', by: 1, served, signal: undefined }, async () => 1)
  for (let i = 0; i < 19; i++) await over(0)
  assert.ok(route.target('GET'))
  // One that the wire served in between: it is of use.
  for (let i = 0; i < 19; i++) await over(1)
  assert.ok(route.target('GET'))
  for (let i = 0; i < 2; i++) await over(1)
  assert.equal(route.target('GET'), undefined)
  assert.ok(route.target('PART'))
  route.bypassed('GET')
  assert.equal(counts['the wire rests for GET'], 1)
  time += 11 * 60_000
  assert.ok(route.target('GET'))
  await over(1)
  assert.equal(route.target('GET'), undefined)
})

test('a request that fails by the SDK lane as well is not the wire to blame', async () => {
  const store = { ...memoryStore(memoryBucket()), wire: async () => TARGET }
  const route = openRoute(store, { lane: 'wire', count() {}, onTarget() {} })
  await route.target('GET')
  const about = { kind: 'GET' as const, reason: 'answer 404', by: 1, served: 0, signal: undefined }
  for (let i = 0; i < 50; i++) {
    await assert.rejects(route.handOver(about, () => Promise.reject(new Error('missing'))))
  }
  assert.ok(route.target('GET'))
})

test('after a refusal that the SDK lane mended, the target is asked anew, and told when it differs', async () => {
  let time = 0
  let region = 'wrong'
  const told: string[] = []
  const store = { ...memoryStore(memoryBucket()), wire: async () => ({ ...TARGET, region }) }
  const onTarget = (target: WireTarget) => told.push(target.region)
  const route = openRoute(store, { lane: 'wire', count() {}, onTarget, now: () => time })
  await route.target('GET')
  const over = (reason: string) =>
    route.handOver({ kind: 'GET', reason, by: 1, served: time, signal: undefined }, async () => 1)
  time += 10_000
  await over('answer 400')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(told, [])
  region = 'right'
  time += 10_000
  await over('chunked')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(told, [])
  await over('answer 400')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(told, ['right'])
  const target = route.target('GET')
  assert.ok(target !== undefined && !(target instanceof Promise))
  assert.equal(target.region, 'right')
})

test('the wire is told of another target before its next request', async (t) => {
  const expiresAt = Date.now() + 60_000
  const credentials = { accessKeyId: 'A', secretAccessKey: 'S', sessionToken: undefined, expiresAt }
  let region = 'old'
  const { engine, get, seen } = withLanes(t, {
    wire() {},
    target: () => ({ ...TARGET, region, credentials }),
  })
  await engine.move(get())
  region = 'new'
  // Credentials that near their end are asked for again, a second after the last time.
  for (let i = 0; i < 100 && seen.targets.length < 2; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    await engine.move(get())
  }
  assert.deepEqual(
    seen.targets.map((target) => target.region),
    ['old', 'new'],
  )
})

test('credentials are asked for anew before they expire, and waited for when they have', async () => {
  let time = 0
  let asked = 0
  const keys = (expiresAt: number) => ({
    ...{ accessKeyId: 'A', secretAccessKey: 'S', sessionToken: undefined, expiresAt },
  })
  const told: (number | undefined)[] = []
  const store = {
    ...memoryStore(memoryBucket()),
    async wire() {
      asked++
      return { ...TARGET, credentials: keys(time + 3_600_000) }
    },
  }
  const onTarget = (target: WireTarget) => told.push(target.credentials?.expiresAt)
  const route = openRoute(store, { lane: 'wire', count() {}, onTarget, now: () => time })
  await route.target('GET')
  time = 3_000_000
  assert.ok(!(route.target('GET') instanceof Promise))
  assert.equal(asked, 1)
  time = 3_400_000
  assert.ok(!(route.target('GET') instanceof Promise))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([asked, told], [2, [7_000_000]])
  time = 7_000_001
  const target = await route.target('GET')
  assert.equal(target?.credentials?.expiresAt, 10_600_001)
})

test('a bucket that the wire can not reach goes by the SDK lane, with the reason', async (t) => {
  const { engine, get, seen } = withLanes(t, { wire() {}, target: () => ({ reason: 'proxy' }) })
  for (let i = 0; i < 3; i++) await engine.move(get())
  assert.deepEqual([seen.wire, seen.sdk], [0, 3])
  assert.deepEqual(engine.stats.handedOver, { proxy: 3 })
})

test('with the SDK lane forced the wire is not even asked for', async (t) => {
  const { engine, get, seen } = withLanes(t, { wire() {}, options: { lane: 'sdk', workers: 2 } })
  await engine.move(get())
  assert.deepEqual([seen.wire, seen.sdk, seen.asked, engine.stats.workers], [0, 1, 0, 0])
  assert.deepEqual(engine.stats.handedOver, {})
})

test('an abort does not wait for a target that takes long to find', async (t) => {
  const { engine, get } = withLanes(t, { wire() {} })
  const store = { ...memoryStore(memoryBucket()), url: 's3://slow', wire: () => new Promise<never>(() => {}) }
  const id = engine.attach(store)
  const controller = new AbortController()
  const transfer = get()
  const pieces = transfer.pieces.map((piece) => ({ ...piece, store: id }))
  const move = engine.move({ ...transfer, pieces }, { signal: controller.signal })
  setImmediate(() => controller.abort(new Error('enough')))
  await assert.rejects(move, { message: 'enough' })
})

test('a wire that can’t be opened is told to whoever needs it, not to who asks whether it asks ahead', async () => {
  const sdk = memoryStore(memoryBucket())
  const lanes = openLanes({
    url: 's3://memory',
    wire: () => Promise.reject(new Error('no wire')),
    sdk,
    bypassed() {},
    after: () => sdk,
  })
  assert.equal(lanes.asksAhead?.('"e"', 100), false)
  // An unhandled rejection would fail this file.
  await new Promise((resolve) => setImmediate(resolve))
})
