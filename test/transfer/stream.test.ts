import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from '../../src/checksum/crc32.ts'
import type { Window } from '../../src/s3/wire/types.ts'
import { openBuffers } from '../../src/transfer/buffers.ts'
import { openCore } from '../../src/transfer/core.ts'
import { openLocalIo } from '../../src/transfer/local-io.ts'
import { openPace } from '../../src/transfer/pace.ts'
import { openSlots } from '../../src/transfer/slots.ts'
import { carryStream } from '../../src/transfer/stream.ts'
import { BLOCK_BYTES, type Transfer, type TransferDone } from '../../src/transfer/types.ts'
import { withDevServer } from '../support/devserver.ts'
import { testEngine } from '../support/engine.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

const MiB = 1024 * 1024
const body = randomBytes(20 * MiB)

type Feed = (window: Window, signal: AbortSignal | undefined) => Promise<void>

/** As the wire lane would: windows that are full, up to `end`. */
const feed = (window: Window, end: number, bytes = body) => {
  for (let at = 0; at < end; at += window.memory.length) {
    const part = bytes.subarray(at, Math.min(end, at + window.memory.length))
    window.memory.set(part)
    window.take(at, window.memory.subarray(0, part.length))
  }
}

/** A thread's core over a source that feeds the windows as the test says. */
function withSource(t: TestContext, get: Feed, change: Partial<Transfer> = {}) {
  const path = join(tempDir(t), 'copy')
  writeFileSync(path, Buffer.alloc(body.length, 0xee))
  const moved = { in: 0 }
  const core = openCore({
    buffers: openBuffers(8 * MiB),
    slots: openSlots({ limit: 4, enter: () => true, leave() {}, done() {} }),
    pace: openPace(undefined, {}),
    io: openLocalIo({ stuckMs: 10_000, sync: true }),
    counters: {
      request() {},
      behind() {},
      retry() {},
      bytesOut() {},
      bytesIn(bytes) {
        moved.in += bytes
      },
    },
    thread: { disk() {} },
  })
  t.after(() => core.io.closeIdle())
  const not = async (): Promise<never> => {
    throw new Error('asked for in another way')
  }
  core.stores.set('s3://b', {
    ...{ url: 's3://b', getInto: not, putPart: not, put: not },
    async getWhole(_request, window, options) {
      await get(window, options?.signal)
      return { etag: '"e"', check: 'size' }
    },
  })
  const { length } = body
  const transfer: Transfer = {
    ...{ id: 7, length, stream: true, to: { kind: 'file', path, offset: 0 } },
    pieces: [
      { kind: 'object', at: 0, length, store: 's3://b', key: 'a', offset: 0, size: length, etag: '"e"' },
    ],
    ...change,
  }
  const parts: TransferDone[] = []
  const tell = (part: TransferDone) => void parts.push(part)
  const run = (worth: () => boolean = () => true, signal = new AbortController().signal) =>
    carryStream(core, transfer, signal, { tell, watch: () => worth })
  const told = () => parts.map(({ part, bytes }) => [part?.at, bytes])
  return { run, told, parts, path, moved }
}

test('a stream comes to its file, told of block by block with the sum of each', async (t) => {
  const { run, told, parts, path, moved } = withSource(t, async (window) => feed(window, body.length))
  const end = await run()
  assert.deepEqual([end.bytes, end.part], [body.length, undefined])
  assert.deepEqual(told(), [
    [0, 8 * MiB],
    [8 * MiB, 8 * MiB],
    [16 * MiB, 4 * MiB],
  ])
  assert.deepEqual(
    parts.map(({ crc32 }) => crc32),
    [0, 1, 2].map((n) => crc32(body.subarray(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES))),
  )
  assert.ok(readFileSync(path).equals(body))
  assert.equal(moved.in, body.length)
})

test('blocks that begin before sums are wanted have none, the others do; where the planner knows them all have', async (t) => {
  const expectCrcs = [0, 8, 16].map((at) => crc32(body.subarray(at * MiB, at * MiB + BLOCK_BYTES)))
  let seconds = 1
  t.mock.method(process, 'hrtime', () => [seconds, 0])
  const late = async (window: Window) =>
    feed(
      {
        memory: window.memory,
        take: (at, bytes) => {
          if (at === 8 * MiB) seconds = 2
          window.take(at, bytes)
        },
      } as Window,
      body.length,
    )
  const { run, told, parts, path } = withSource(t, late, { sumFrom: 2000 })
  await run()
  assert.deepEqual(
    told().map(([at]) => at),
    [0, 8 * MiB, 16 * MiB],
  )
  assert.deepEqual(
    parts.map(({ blockCrcs, crc32: crc }) => [blockCrcs, crc]),
    [[[], 0], ...expectCrcs.slice(1).map((crc) => [[crc], crc])],
  )
  assert.ok(readFileSync(path).equals(body))

  const known = withSource(t, async (window) => feed(window, body.length), { sumFrom: 9e15, expectCrcs })
  await known.run()
  assert.deepEqual(
    known.parts.map(({ crc32: crc }) => crc),
    expectCrcs,
  )
})

test('what fails ends a stream where it came to: nothing of it is fetched twice, and it is no failure', async (t) => {
  const { run, told, path } = withSource(t, async (window) => {
    feed(window, 9 * MiB)
    throw new Error('reset')
  })
  assert.equal((await run()).bytes, 9 * MiB)
  assert.deepEqual(told(), [
    [0, 8 * MiB],
    [8 * MiB, MiB],
  ])
  assert.ok(
    readFileSync(path)
      .subarray(0, 9 * MiB)
      .equals(body.subarray(0, 9 * MiB)),
  )
})

test('a second attempt that begins anew is not waited for', async (t) => {
  const { run } = withSource(t, async (window) => {
    feed(window, 9 * MiB)
    feed(window, body.length)
  })
  assert.equal((await run()).bytes, 9 * MiB)
})

test('a stream of which nothing comes, or that cannot be one, ends with nothing', async (t) => {
  const failing = withSource(t, async () => {
    throw new Error('503')
  })
  assert.deepEqual([(await failing.run()).bytes, failing.told()], [0, []])
  const part = withSource(t, async (window) => feed(window, MiB), {
    length: MiB,
    pieces: [
      { kind: 'object', at: 0, length: MiB, store: 's3://b', key: 'a', offset: 1, size: 9 * MiB, etag: '' },
    ],
  })
  assert.deepEqual([(await part.run()).bytes, part.moved.in], [0, 0])
})

test('a block that is not what it should be is not told of, nor is what comes after it', async (t) => {
  const sums = [0, 1, 2].map((n) => crc32(body.subarray(n * BLOCK_BYTES, (n + 1) * BLOCK_BYTES)))
  const wrong = Buffer.from(body)
  wrong.writeUInt8(wrong.readUInt8(9 * MiB) ^ 1, 9 * MiB)
  const damaged = withSource(t, async (window) => feed(window, body.length, wrong), { expectCrcs: sums })
  assert.equal((await damaged.run()).bytes, 8 * MiB)
  assert.deepEqual(damaged.told(), [[0, 8 * MiB]])
  // Nor is half a block, which no checksum speaks of.
  const cut = withSource(
    t,
    async (window) => {
      feed(window, 9 * MiB)
      throw new Error('reset')
    },
    { expectCrcs: sums },
  )
  assert.equal((await cut.run()).bytes, 8 * MiB)
})

test('a stream that is not worth going on is left, once its socket is', async (t) => {
  let left = false
  const { run, told } = withSource(t, async (window, signal) => {
    feed(window, MiB)
    await new Promise((resolve) => signal?.addEventListener('abort', resolve))
    await sleep(20)
    left = true
    throw signal?.reason
  })
  const end = await run(() => false)
  assert.deepEqual([end.bytes, left, told()], [MiB, true, [[0, MiB]]])
})

test('an abort is told as what it is, and so is a disk that takes nothing', async (t) => {
  const stop = new AbortController()
  const aborted = withSource(t, async (window) => {
    feed(window, MiB)
    stop.abort(new Error('stopped'))
    throw stop.signal.reason
  })
  await assert.rejects(
    aborted.run(() => true, stop.signal),
    /stopped/,
  )
  const full = withSource(t, async (window) => feed(window, body.length), {
    to: { kind: 'file', path: '/dev/full', offset: 0 },
  })
  await assert.rejects(full.run(), { code: 'NO_SPACE' })
})

test('by the wire, a thread streams a whole object in one request and tells of its blocks', {
  skip: LANE,
}, async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'counts the requests' })
  dev.seed({ a: body })
  const store = await dev.openStore()
  const etag = (await store.head('a'))?.etag ?? ''
  // However busy this machine is.
  const engine = testEngine(t, { workers: 1 }, { firstLookMs: 60_000 })
  assert.equal(engine.streams, true)
  const id = engine.attach(store)
  const path = join(tempDir(t), 'copy')
  writeFileSync(path, Buffer.alloc(body.length, 0xee))
  const { length } = body
  const transfer: Transfer = {
    ...{ id: 1, length, stream: true, to: { kind: 'file', path, offset: 0 } },
    pieces: [{ kind: 'object', at: 0, length, store: id, key: 'a', offset: 0, size: length, etag }],
  }
  dev.server.requests.clear()
  let [at, ended] = [0, -1]
  await engine.run([transfer], {
    onResult(result) {
      assert.ok(result.ok && ended < 0)
      if (result.part === undefined) ended = result.bytes
      else {
        assert.equal(result.part.at, at)
        assert.equal(result.crc32, crc32(body.subarray(at, at + result.bytes)))
        at += result.bytes
      }
    },
  })
  assert.deepEqual([ended, at], [length, length])
  assert.ok(readFileSync(path).equals(body))
  assert.equal(dev.server.requests.count('GetObject'), 1)
  assert.equal(engine.stats.bytesIn, length)
})
