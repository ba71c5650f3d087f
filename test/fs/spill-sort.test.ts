import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import type { SortRecord } from '../../src/fs/sort-run.ts'
import { spillSort } from '../../src/fs/spill-sort.ts'

async function folder(t: TestContext): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'longshore-sort-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

const record = (key: string, value = ''): SortRecord => ({ key, value })

async function sorted(
  records: SortRecord[],
  dir: string,
  memory: number,
): Promise<{ key: string; value: string }[]> {
  const out: { key: string; value: string }[] = []
  // In batches of three.
  const batches = Array.from({ length: Math.ceil(records.length / 3) }, (_, i) =>
    records.slice(3 * i, 3 * i + 3),
  )
  for await (const batch of spillSort(batches, { dir, memory })) out.push(...batch)
  return out
}

test('records come back in the order of their UTF-8 bytes, however little memory there is', async (t) => {
  const dir = await folder(t)
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ maxLength: 5 }))),
      fc.integer({ min: 128, max: 4096 }),
      async (pairs, memory) => {
        const records = pairs.map(([k, v]) => record(k, v))
        const expected = pairs
          .map(([k, v]) => ({ key: Buffer.from(k), value: Buffer.from(v) }))
          .toSorted((a, b) => a.key.compare(b.key) || a.value.compare(b.value))
          .map((r) => ({ key: r.key.toString(), value: r.value.toString() }))
        assert.deepEqual(await sorted(records, dir, memory), expected)
      },
    ),
    { numRuns: 60 },
  )
  assert.deepEqual(await readdir(dir), [])
})

test('keys that begin alike, end early or hold zeroes are told apart by all of their bytes', async (t) => {
  const dir = await folder(t)
  const end = fc.string({ unit: fc.constantFrom('\0', 'a', 'ü'), maxLength: 10 })
  await fc.assert(
    fc.asyncProperty(fc.array(end, { minLength: 2, maxLength: 60 }), fc.string(), async (ends, start) => {
      const keys = ends.map((one) => start + one)
      const out = await sorted(
        keys.map((key) => record(key)),
        dir,
        4096,
      )
      const expected = keys.map((key) => Buffer.from(key)).toSorted((a, b) => a.compare(b))
      assert.deepEqual(
        out.map(({ key }) => key),
        expected.map(String),
      )
    }),
    { numRuns: 200 },
  )
})

test('records that outgrow the memory that a sort begins with are all there, large ones too', async (t) => {
  const dir = await folder(t)
  const memory = 2 * 1024 * 1024
  for (const [count, bytes] of [
    [3, 60_000],
    [900, 700],
    [1, 200_000],
    [30, 150_000],
  ] as const) {
    const records = Array.from({ length: count }, (_, i) =>
      record(`${(i * 7) % count}`.padStart(5, '0'), `${i}`.repeat(bytes).slice(0, bytes)),
    )
    const expected = records.toSorted((a, b) => (a.key < b.key ? -1 : 1))
    assert.deepEqual(await sorted(records, dir, memory), expected)
  }
})

test('more runs than can be merged at once are merged in passes', async (t) => {
  const dir = await folder(t)
  const keys = Array.from({ length: 1000 }, (_, i) => `key-${String((i * 7919) % 1000).padStart(4, '0')}`)
  const out = await sorted(
    keys.map((k) => record(k, 'v')),
    dir,
    128,
  )
  assert.deepEqual(
    out.map((r) => r.key),
    keys.toSorted(),
  )
})

test('input that is in order already makes one run, and leaves nothing behind when it is given up early', async (t) => {
  const dir = await folder(t)
  function* ordered(): Generator<SortRecord[]> {
    for (let i = 0; i < 5000; i++) yield [record(String(i).padStart(6, '0'))]
  }
  for await (const _ of spillSort(ordered(), { dir, memory: 1024 })) {
    const [own] = await readdir(dir)
    assert.equal((await readdir(join(dir, own ?? ''))).length, 1)
    break
  }
  assert.deepEqual(await readdir(dir), [])
})

test('a failing input and an abort both remove the runs', async (t) => {
  const dir = await folder(t)
  function* failing(): Generator<SortRecord[]> {
    for (let i = 0; i < 100; i++) yield [record(`k${100 - i}`)]
    throw new Error('listing failed')
  }
  await assert.rejects(async () => {
    for await (const _ of spillSort(failing(), { dir, memory: 256 }));
  }, /listing failed/)
  const controller = new AbortController()
  await assert.rejects(async () => {
    for await (const _ of spillSort([[record('a'), record('b')]], { dir, signal: controller.signal })) {
      controller.abort(new Error('stopped'))
      controller.signal.throwIfAborted()
    }
  }, /stopped/)
  assert.deepEqual(await readdir(dir), [])
})

test('a record may be larger than what is written at once', async (t) => {
  const dir = await folder(t)
  const value = (i: number): string => String(i).repeat(i % 3 === 0 ? 1_600_000 : 300_000)
  const records = [7, 3, 1, 9, 4, 6, 2, 8, 5].map((i) => record(`key-${i}`, value(i)))
  const out = await sorted(records, dir, 4 * 1024 * 1024)
  assert.deepEqual(
    out.map(({ key, value: found }) => `${key} ${found.length} ${found === value(Number(key.at(-1)))}`),
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `key-${i} ${value(i).length} true`),
  )
})
