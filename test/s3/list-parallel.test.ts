import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LongshoreError } from '../../src/errors.ts'
import { listParallel } from '../../src/s3/list-parallel.ts'
import type { PageRequest } from '../../src/s3/list-s3.ts'
import { stillHeld } from '../support/forgotten.ts'
import { answer, hashed, jumble, list, model, numbers, type Order, pad } from './list-model.ts'

const shapes: Record<string, string[]> = {
  'a flat folder': numbers(3000, (i) => `p/img${pad(i)}.jpg`),
  'random names': numbers(3000, (i) => `p/${hashed(`x${i}`).toString(16).padStart(8, '0')}-${i}`),
  'a folder a class': numbers(3000, (i) => `p/train/n${pad(i - (i % 60))}/n${pad(i)}.jpg`),
  'a folder a sample': numbers(3000, (i) => `p/s${pad(i >> 1)}/${i & 1 ? 'a' : 'b'}.jpg`),
  'folders by number': numbers(3000, (i) => `p/${i >> 2}/${i & 3}.jpg`).sort(),
  'a folder beside names that begin like it': numbers(3000, (i) => `p/x${i % 3 ? '-' : '/'}${pad(i)}`),
  'folders beside files': numbers(
    3000,
    (i) => `p/x${pad(i >> 4, 4)}${['/a', '-b', '.c', '0d', '/e/f', 'é'][i % 6]}${i}`,
  ),
}

for (const [shape, keys] of Object.entries(shapes)) {
  test(`${shape}: each key once, with many requests on their way and few for nothing`, async () => {
    const server = model(keys, { turn: jumble(7), pageSize: 20 })
    const found = await list(server, { prefix: 'p/', ordered: true })
    assert.deepEqual(found.sort(), [...keys].sort())
    assert.ok(server.peak > 4 && server.peak <= 16, `${server.peak} at once`)
    assert.ok(server.requests < 1.6 * (keys.length / 20), `${server.requests} requests`)
  })
}

test('deep folders: a range is not divided at its own end again', async () => {
  const keys = numbers(9000, (i) => `p/a${(i / 3000) | 0}/b${pad(((i / 300) | 0) % 10, 2)}/${pad(i)}`)
  const server = model(keys, { turn: jumble(7), pageSize: 30 })
  assert.deepEqual((await list(server, { prefix: 'p/', ordered: true })).sort(), keys)
  assert.ok(server.requests < 1.35 * (keys.length / 30), `${server.requests} requests`)
})

const key = fc
  .array(
    fc.constantFrom(
      'a',
      'b',
      'A',
      '0',
      '1',
      '2',
      '9',
      '-',
      '.',
      '/',
      '~',
      ' ',
      'é',
      '𝄞',
      '\ue000',
      'img',
      'x/',
    ),
    {
      minLength: 1,
      maxLength: 7,
    },
  )
  .map((parts) => parts.join(''))

for (const order of ['bytes', 'folders', 'hash'] as const) {
  test(`whatever the keys are, each comes once (a server that lists by ${order})`, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(key, { maxLength: 400, minLength: 40, size: 'max' }),
        fc.constantFrom(...Object.values(shapes)),
        fc.nat(300),
        fc.boolean(),
        fc.nat(),
        async (names, shape, some, ignoresStartAfter, seed) => {
          const keys = [...names, ...shape.slice(0, some)]
          const server = model(keys, { order, ignoresStartAfter, pageSize: 4, turn: jumble(seed) })
          const found = await list(server, { ordered: order === 'bytes' && seed % 2 === 0 })
          assert.deepEqual(found.sort(), [...new Set(keys)].sort())
        },
      ),
      { numRuns: 60 },
    )
  })
}

test('with writers at work a key that stays is listed once, and none twice', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.values(shapes)),
      fc.constantFrom<Order>('bytes', 'folders'),
      fc.nat(),
      async (shape, order, seed) => {
        const keys = shape.slice(0, 300)
        const wait = jumble(seed)
        const gone = new Set<string>()
        let count = seed
        const server = model(keys, { order, pageSize: 5, changes: true })
        server.turn = async () => {
          await wait()
          for (let i = 0; i < 5; i++) {
            count = (Math.imul(count | 1, 48271) + 11) >>> 0
            const near = keys[count % keys.length] ?? ''
            if (count & 64) server.keys.add(`${near}${count & 128 ? '-new' : '/new'}`)
            else if (server.keys.delete(near)) gone.add(near)
          }
        }
        const found = await list(server, { prefix: 'p/' })
        assert.equal(new Set(found).size, found.length, 'one came twice')
        const there = new Set(found)
        for (const one of keys) assert.ok(gone.has(one) || there.has(one), `${one} is lost`)
      },
    ),
    { numRuns: 15 },
  )
})

test('a flat folder is divided on a server whose order is not known', async () => {
  for (const order of ['bytes', 'folders'] as const) {
    const keys = numbers(3000, (i) => `p/img-${pad(i)}.jpg`)
    const server = model(keys, { order, turn: jumble(7), pageSize: 20 })
    assert.deepEqual((await list(server, { prefix: 'p/' })).sort(), keys)
    assert.ok(server.peak > 4, `${server.peak} at once`)
  }
})

test('up to two pages cost no request more than in turn, and few more pages few more', async () => {
  for (const [keys, most] of [
    [0, 1],
    [10, 1],
    [20, 2],
    [40, 7],
    [100, 18],
  ] as const) {
    const server = model(numbers(keys, (i) => `k${pad(i)}`))
    assert.equal((await list(server, { ordered: true })).length, keys)
    assert.ok(server.requests <= most, `${keys} keys: ${server.requests} requests`)
  }
})

test('pages in no order are asked for one after the other', async () => {
  const server = model(shapes['a folder a class'] ?? [], { order: 'hash', turn: jumble(3), pageSize: 100 })
  assert.equal((await list(server)).length, 3000)
  assert.equal(server.requests, 30)
  assert.equal(server.peak, 1)
})

test('a page that fails ends the listing, and no request is left on its way', async () => {
  let requests = 0
  const server = model(shapes['random names'] ?? [], {
    turn: async (request) => {
      await new Promise((resolve) => setImmediate(resolve))
      if (++requests > 60 && request.token !== undefined) throw new LongshoreError('THROTTLED', 'enough')
    },
  })
  await assert.rejects(list(server, { ordered: true }), { code: 'THROTTLED' })
  assert.equal(server.inFlight, 0)
})

test('what only helps to divide may fail: the listing is whole', async () => {
  for (const shape of Object.values(shapes)) {
    const server = model(shape, {
      pageSize: 50,
      turn: async (request) => {
        if (request.startAfter !== undefined) throw new LongshoreError('ACCESS_DENIED', 'not that')
      },
    })
    assert.equal((await list(server)).length, 3000)
  }
})

test('an abort, and a reader that leaves, end every request', async () => {
  const abort = new AbortController()
  let requests = 0
  const server = model(shapes['random names'] ?? [], {
    turn: (request) =>
      new Promise((resolve, reject) => {
        if (++requests === 50) abort.abort(new Error('stop'))
        if (request.signal?.aborted) return reject(request.signal.reason)
        const onAbort = () => reject(request.signal?.reason)
        request.signal?.addEventListener('abort', onAbort, { once: true })
        setImmediate(() => {
          request.signal?.removeEventListener('abort', onAbort)
          resolve()
        })
      }),
  })
  await assert.rejects(list(server, { ordered: true, signal: abort.signal }), { message: 'stop' })
  const early = model(shapes['random names'] ?? [], { turn: jumble(5) })
  let pages = 0
  for await (const _page of listParallel((request) => answer(early, request), {
    prefix: '',
    ordered: true,
    refuse: (why) => new LongshoreError('SERVER', why),
  }))
    if (++pages === 30) break
  assert.equal(early.inFlight, 0)
})

test('a server that asks for less gets fewer requests at once', async () => {
  const server = model(shapes['random names'] ?? [], {
    turn: async (request) => {
      request.onRetry?.({ reason: '503', slowDown: true })
      await new Promise((resolve) => setImmediate(resolve))
    },
  })
  assert.equal((await list(server, { ordered: true })).length, 3000)
  assert.ok(server.peak <= 2, `${server.peak} at once`)
})

test('a page that was handed on is let go of, however many ranges are being read', async () => {
  const keys = numbers(4000, (i) => `p/${pad(i >> 5, 3)}/${pad(i)}.jpg`)
  const pages: WeakRef<object>[] = []
  let goOn = (): void => {}
  const pause = new Promise<void>((resolve) => {
    goOn = resolve
  })
  const server = model(keys, { turn: () => (server.requests > 120 ? pause : Promise.resolve()) })
  const fetchPage = async (request: PageRequest) => {
    const page = await answer(server, request)
    pages.push(new WeakRef(page.objects))
    return page
  }
  const found: number[] = []
  const all = (async () => {
    const refuse = (why: string) => new LongshoreError('SERVER', why)
    for await (const { objects } of listParallel(fetchPage, { prefix: 'p/', ordered: true, refuse }))
      found.push(objects.length)
  })()
  // Until nothing comes any more, and all that came is handed on.
  for (
    let [seen, quiet] = [0, 0];
    seen <= 120 || quiet < 50;
    quiet = server.requests === seen ? quiet + 1 : 0
  ) {
    seen = server.requests
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(server.inFlight > 4, `${server.inFlight} on their way`)
  // The two that were read before it was divided, and the one that was handed on last.
  const held = await stillHeld(pages)
  assert.ok(held <= 3, `${held} of ${pages.length} pages`)
  goOn()
  await all
  assert.equal(
    found.reduce((sum, count) => sum + count),
    keys.length,
  )
})
