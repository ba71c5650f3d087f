import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { LongshoreError } from '../../src/errors.ts'
import type { PageRequest } from '../../src/s3/list-s3.ts'
import { jumble, list, model, numbers, pad } from './list-model.ts'

const PAGE = 1000

/** Every request takes one round; how many a listing takes is its time where latency counts. */
function rounds(): { turn: () => Promise<void>; count: () => number } {
  let count = 0
  let next: Promise<void> | undefined
  const round = async () => {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
    count++
    next = undefined
  }
  return {
    turn: () => {
      next ??= round()
      return next
    },
    count: () => count,
  }
}

const folder = (i: number, each: number) => `class-${pad(Math.floor(i / each), 3)}/img-${pad(i)}.jpg`
const keys = (name: (i: number) => string) => numbers(20_000, (i) => `p/${name(i)}`)
const random = numbers(20_000, (i) => `p/${createHash('sha1').update(pad(i)).digest('hex')}.jpg`)
const deep = (i: number) =>
  `a${Math.floor(i / 5000)}/b${Math.floor(i / 1000) % 5}/c${Math.floor(i / 200) % 5}/${pad(i)}`

/** Shapes of 20 pages: requests and rounds at most. One after the other it is 20 of each. */
const shapes: [name: string, keys: string[], requests: number, rounds: number][] = [
  ['20 folders of a page each', keys((i) => folder(i, 1000)), 22, 5],
  ['20 folders of a page each, further down', keys((i) => `a/b/${folder(i, 1000)}`), 23, 6],
  ['10 folders of two pages each', keys((i) => folder(i, 2000)), 22, 6],
  ['17 folders of no whole pages', keys((i) => folder(i, 1177)), 26, 10],
  ['200 folders of a tenth of a page', keys((i) => folder(i, 100)), 24, 10],
  ['2,000 folders of ten keys', keys((i) => `${pad(Math.floor(i / 10))}/${i % 10}`), 26, 10],
  ['3 large folders', keys((i) => folder(i, 6667)), 30, 13],
  ['one flat folder that counts', keys((i) => `img-${pad(i)}.jpg`), 26, 10],
  ['one flat folder of random names', random, 26, 10],
  ['a deep tree', keys(deep), 30, 10],
]

for (const [name, keys, requests, time] of shapes) {
  test(`${name}: 20 pages cost ${requests} requests at most, in the time of ${time}`, async () => {
    const { turn, count } = rounds()
    const server = model(keys, { turn, pageSize: PAGE })
    const found = await list(server, { prefix: 'p/', ordered: true })
    assert.deepEqual(found.sort(), [...keys].sort())
    assert.ok(server.requests <= requests, `${server.requests} requests`)
    assert.ok(count() <= time, `${count()} rounds`)
  })
}

test('folders that end where pages end cost a long listing hardly more than its pages', async () => {
  const { turn, count } = rounds()
  // Twice as many as one page names.
  const keys = numbers(20_000, (i) => `p/class-${pad(Math.floor(i / 100), 3)}/img-${pad(i)}.jpg`)
  const server = model(keys, { turn, pageSize: 100 })
  assert.deepEqual((await list(server, { prefix: 'p/', ordered: true })).sort(), keys)
  assert.ok(server.requests <= 208, `${server.requests} requests`)
  assert.ok(count() <= 20, `${count()} rounds`)
})

/** Folders of about a page's keys, and what may lie between them. */
const tree = fc
  .array(
    fc.record({
      files: fc.constantFrom(10, 10, 10, 10, 20, 9, 11, 3, 0),
      more: fc.subarray(['', '-x', '.~~~~x', '0', '/', '/sub/a', '/sub/b', '.txt', '/~']),
    }),
    { minLength: 4, maxLength: 25, size: 'max' },
  )
  .map((folders) =>
    folders.flatMap(({ files, more }, n) => {
      const name = `p/${n % 7 === 0 ? 'a/' : ''}f${pad(n, 2)}`
      return [...numbers(files, (i) => `${name}/${pad(i, 3)}`), ...more.map((end) => name + end)]
    }),
  )

const evenTree = fc
  .nat({ max: 40 })
  .map((n) => numbers(10 * n, (i) => `p/f${pad(Math.floor(i / 10), 2)}/${pad(i, 3)}`))

test('whatever lies in and between the folders, each key comes once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        tree,
        fc.tuple(evenTree, tree).map(([even, odd]) => [...even, ...odd]),
      ),
      fc.constantFrom('bytes' as const, 'folders' as const),
      fc.boolean(),
      fc.constantFrom('', 'p/f', 'p/f0'),
      fc.nat(),
      async (keys, order, ignoresStartAfter, denied, seed) => {
        const wait = jumble(seed)
        const turn = async ({ prefix }: PageRequest) => {
          await wait()
          if (denied !== '' && prefix.startsWith(denied)) throw new LongshoreError('ACCESS_DENIED', prefix)
        }
        const server = model(keys, { order, ignoresStartAfter, pageSize: 10, turn })
        const ordered = order === 'bytes' && seed % 2 === 0
        const found = await list(server, { prefix: 'p/', ordered })
        assert.deepEqual(found.sort(), [...new Set(keys)].sort())
      },
    ),
    { numRuns: 300 },
  )
})

test('a folder that empties, and one that fills, while they are listed: a key that stays comes once', async () => {
  await fc.assert(
    fc.asyncProperty(evenTree, fc.nat(), async (keys, seed) => {
      const wait = jumble(seed)
      const gone = new Set<string>()
      let count = seed
      const server = model(keys, { pageSize: 10, changes: true })
      server.turn = async () => {
        await wait()
        count = (Math.imul(count | 1, 48271) + 11) >>> 0
        const near = (keys[count % keys.length] ?? '').slice(0, -4)
        for (let i = 0; i < 12; i++) {
          if (count & 64) server.keys.add(`${near}${count & 128 ? '/' : '-'}new${i}`)
          else for (const key of keys) if (key.startsWith(near) && server.keys.delete(key)) gone.add(key)
        }
      }
      const found = await list(server, { prefix: 'p/', ordered: true })
      assert.equal(new Set(found).size, found.length, 'one came twice')
      const there = new Set(found)
      for (const key of keys) assert.ok(gone.has(key) || there.has(key), `${key} is lost`)
    }),
    { numRuns: 100 },
  )
})

test('a server that lists by UTF-16 units is listed whole, or refused: never in part', async () => {
  const name = fc.constantFrom('a', 'z', '~', 'é', 'ｱ', '😀', '')
  const folders = fc.array(fc.tuple(name, name, fc.integer({ min: 1, max: 60 })), {
    minLength: 5,
    maxLength: 30,
  })
  let whole = 0
  await fc.assert(
    fc.asyncProperty(folders, fc.nat(), async (some, seed) => {
      const keys = some.flatMap(([a, b, n]) => numbers(n, (i) => `p/${a}/${b}/${pad(i, 3)}`))
      const server = model(keys, { order: 'utf16', pageSize: 10, turn: jumble(seed) })
      const found = await list(server, { prefix: 'p/' }).catch((error: unknown) => {
        assert.ok(error instanceof LongshoreError && error.code === 'SERVER', String(error))
      })
      if (found === undefined) return
      whole++
      assert.deepEqual(found.sort(), [...new Set(keys)].sort())
    }),
    { numRuns: 300 },
  )
  assert.ok(whole > 50, `${whole} of 300 were listed`)
})
