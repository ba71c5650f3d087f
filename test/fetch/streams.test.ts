import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type FetchOptions, fetchFiles } from '../../src/fetch/fetch-files.ts'
import { SILENT } from '../../src/progress.ts'
import { withDevServer } from '../support/devserver.ts'
import { testEngine } from '../support/engine.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

const MiB = 1024 * 1024
const sizes = { a: 20 * MiB, b: 9 * MiB + 1, c: 17 * MiB, d: 3 * MiB, e: 30 * MiB, f: 10 * MiB }

/** ms: no stream ends early only because this machine is busy. */
const PATIENT = { firstLookMs: 60_000 }

/** Objects, most of them large, and a fetch of them all by an engine with one thread. */
async function withObjects(t: TestContext, changed: Partial<FetchOptions> = {}, parts = PATIENT) {
  const dev = await withDevServer(t, { undisturbed: 'counts the requests' })
  const bodies = Object.entries(sizes).map(([name, size]) => [name, randomBytes(size)] as const)
  dev.seed(Object.fromEntries(bodies.map(([name, body]) => [`p/${name}`, body])))
  const store = await dev.openStore()
  const entries = await Promise.all(
    bodies.map(async ([name, { length: size }]) => {
      const etag = (await store.head(`p/${name}`))?.etag ?? ''
      return { name, path: name, size, etag }
    }),
  )
  const dir = tempDir(t)
  const [root, staging, journals] = ['root', 'staging', 'journals'].map((name) => join(dir, name))
  assert.ok(root && staging && journals)
  for (const folder of [root, staging, journals]) mkdirSync(folder)
  const engine = testEngine(t, { workers: 1, lane: LANE }, parts)
  dev.server.requests.clear()
  const ranges = () =>
    dev.server.requests
      .all()
      .filter(({ operation }) => operation === 'GetObject')
      .map(({ key = '', range }) => `${key.slice(2)} ${range?.replace('bytes=', '') ?? 'whole'}`)
  const fetch = (signal = new AbortController().signal) =>
    fetchFiles([entries], {
      ...{ engine, store, prefix: 'p/', url: `${dev.root}/p/`, root, staging, journals, part: 8 * MiB },
      ...{ boot: 'this', modes: { dir: 0o755, file: 0o600, data: 0o444 }, verify: 'checksum', signal },
      ...{ progress: SILENT, ...changed },
    })
  const check = () => {
    for (const [name, body] of bodies) assert.ok(readFileSync(join(root, name)).equals(body), name)
    assert.deepEqual([...readdirSync(staging), ...readdirSync(journals)], [])
  }
  return { dev, fetch, check, ranges, staging, journals, faults: dev.server.faults }
}

/** The same length, without its bytes. */
function zero(path: string): void {
  const { size } = statSync(path)
  truncateSync(path, 0)
  truncateSync(path, size)
}

/** A stream first; if it did not bring all, ranges from there to the end, one after the other, none longer than a part. */
function assertRest(ranges: readonly string[], key: keyof typeof sizes): void {
  const of = ranges.filter((range) => range.startsWith(`${key} `))
  const whole = `${key} 0-${sizes[key] - 1}`
  assert.equal(of[0], whole)
  const spans = of
    .filter((range) => range !== whole)
    .map((range) => range.slice(2).split('-').map(Number))
    .map(([from = 0, to = 0]) => ({ from, end: to + 1 }))
    .sort((x, y) => x.from - y.from)
  if (spans.length === 0) return
  assert.ok(spans.every(({ from, end }) => end - from <= 8 * MiB))
  assert.equal(spans.at(-1)?.end, sizes[key])
  assert.deepEqual(
    spans.slice(1).map(({ from }) => from),
    spans.slice(0, -1).map(({ end }) => end),
  )
}

test('where threads are few, large files come as streams, and small ones whole', {
  skip: LANE,
}, async (t) => {
  const { fetch, check, ranges } = await withObjects(t)
  const totals = await fetch()
  check()
  assert.deepEqual(totals.fetched, { files: 6, bytes: Object.values(sizes).reduce((a, b) => a + b) })
  const large = (['a', 'b', 'c', 'e', 'f'] as const).map((key) => `${key} 0-${sizes[key] - 1}`)
  assert.deepEqual(ranges().sort(), [...large, 'd whole'].sort())
})

test('what a stream leaves is fetched by ranges, and no byte of it twice', { skip: LANE }, async (t) => {
  const { fetch, check, ranges, faults } = await withObjects(t, {}, { firstLookMs: 1000 })
  faults.add({ match: { key: 'p/a', first: 1 }, do: { kind: 'throttle', bytesPerSecond: 5 * MiB } })
  await fetch()
  check()
  assertRest(ranges(), 'a')
  assert.ok(ranges().filter((range) => range.startsWith('a ')).length > 1)
})

test('a connection that breaks in the middle of a stream costs what was on its way only', {
  skip: LANE,
}, async (t) => {
  const { fetch, check, ranges, faults } = await withObjects(t)
  faults.add({ match: { key: 'p/e', first: 1 }, do: { kind: 'reset', afterBytes: 9 * MiB } })
  await fetch()
  check()
  assertRest(ranges(), 'e')
  assert.ok(ranges().filter((range) => range.startsWith('e ')).length > 1)
})

test('who says how long a range is gets ranges', async (t) => {
  const { fetch, check, ranges } = await withObjects(t, { streams: false })
  await fetch()
  check()
  assert.ok(!ranges().some((range) => range.endsWith(` 0-${sizes.a - 1}`)))
})

for (const [unsummedMs, how] of [
  [0, 'keeps the ranges that have sums'],
  [60_000, 'believes none that came before sums are taken'],
] as const) {
  test(`after a reboot a fetch ${how}`, async (t) => {
    const stop = new AbortController()
    let boot = 'this'
    let [came, wrote] = [0, 0]
    const { fetch, check, faults, staging, journals } = await withObjects(t, {
      unsummedMs,
      get boot() {
        return boot
      },
      onRange(_entry, _temp, { length }) {
        came += length
        if (came >= 16 * MiB) stop.abort(new Error('stopped'))
      },
      onWrote({ bytes }) {
        wrote += bytes
      },
    })
    faults.add({ match: { first: 6 }, do: { kind: 'throttle', bytesPerSecond: 64 * MiB } })
    await assert.rejects(fetch(stop.signal), /stopped/)
    const parts = readdirSync(staging).filter((name) => name.endsWith('.part'))
    assert.ok(parts.length > 0)
    const noted = readdirSync(journals).map((name) => readFileSync(join(journals, name), 'utf8'))
    const bare = noted.some((text) => text.includes(',"",'))
    assert.equal(bare, unsummedMs > 0 && LANE === undefined)
    // The page cache never came to the disk. Bytes of the slow way to it have sums, which tell.
    if (unsummedMs > 0) for (const name of parts) zero(join(staging, name))
    came = Number.NEGATIVE_INFINITY
    wrote = 0
    boot = 'next'
    await fetch()
    check()
    const all = Object.values(sizes).reduce((a, b) => a + b)
    if (unsummedMs === 0) assert.ok(wrote < all)
    else assert.equal(wrote, all)
  })
}

test('a fetch that is stopped in the middle of streams goes on with what they brought', async (t) => {
  const stop = new AbortController()
  let kept = 0
  const { fetch, check, faults } = await withObjects(t, {
    onRange(_entry, _temp, { length }) {
      kept += length
      if (kept >= 16 * MiB) stop.abort(new Error('stopped'))
    },
  })
  faults.add({ match: { first: 6 }, do: { kind: 'throttle', bytesPerSecond: 64 * MiB } })
  await assert.rejects(fetch(stop.signal), /stopped/)
  kept = Number.NEGATIVE_INFINITY
  await fetch()
  check()
})
