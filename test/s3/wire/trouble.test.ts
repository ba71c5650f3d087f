import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { isLongshoreError } from '../../../src/errors.ts'
import { HandOver, type WireStore } from '../../../src/s3/wire/types.ts'
import { ok, type RawRequest, rawServer } from './raw-server.ts'

const request = { key: 'k', offset: 0, size: 3, etag: '"e"' }
const ranged = { key: 'k', offset: 10, size: 100, etag: '"e"' }
const get = (wire: WireStore, call = {}) => wire.getInto(request, Buffer.alloc(3), call)
const part = (headers: Record<string, string>, body = 'abc', status = '206 Partial Content') =>
  ok(body, headers, status)

const NOT_UNDERSTOOD: [string, string, Buffer | string, boolean?][] = [
  ['403', 'answer 403', ok('<Error/>', {}, '403 Forbidden')],
  ['404', 'answer 404', ok('<Error/>', {}, '404 Not Found')],
  ['412', 'answer 412', ok('<Error/>', {}, '412 Precondition Failed')],
  ['416', 'answer 416', ok('<Error/>', { 'Content-Range': 'bytes */3' }, '416 Range Not Satisfiable')],
  ['400', 'answer 400', ok('<Error/>', {}, '400 Bad Request')],
  ['501', 'answer 501', ok('<Error/>', {}, '501 Not Implemented')],
  ['204', 'answer 204', 'HTTP/1.1 204 No Content\r\n\r\n'],
  ['an interim answer', 'answer 100', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ['a redirect', 'a redirect', ok('', { Location: 'http://127.0.0.1:1/' }, '307 Temporary Redirect')],
  ['no length', 'no length', 'HTTP/1.1 200 OK\r\nETag: "e"\r\n\r\nabc'],
  ['chunks', 'chunked', ok('abc', { 'Transfer-Encoding': 'chunked' })],
  ['another length', 'another length', ok('abcd')],
  ['another ETag', 'another ETag', ok('abc', { ETag: '"f"' })],
  ['no ETag where one is known', 'another ETag', 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc'],
  ['a weak ETag', 'another ETag', ok('abc', { ETag: 'W/"e"' })],
  ['a 206 for a whole object', 'an unasked range', part({ 'Content-Range': 'bytes 0-2/3' })],
  ['a Content-Range under 200', 'an unasked range', ok('abc', { 'Content-Range': 'bytes 0-2/3' })],
  ['a length twice', 'a header twice', ok('abc', { 'content-length': '3' })],
  ['a folded header', 'a malformed head', ok('abc', { 'X-A': '1\r\n Content-Length: 3' })],
  ['HTTP/1.0', 'no HTTP/1.1', 'HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc'],
  ['a head without an end', 'a head without an end', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(150_000)}`],
  ['a range that was ignored', 'an unasked range', ok('abc'), true],
  ['a 206 without its range', 'no range', part({}), true],
  ['another range', 'another range', part({ 'Content-Range': 'bytes 9-11/100' }), true],
  ['a longer range', 'another range', part({ 'Content-Range': 'bytes 10-13/100' }), true],
  ['an object of another size', 'another size', part({ 'Content-Range': 'bytes 10-12/101' }), true],
  ['an object of an unknown size', 'an odd range', part({ 'Content-Range': 'bytes 10-12/*' }), true],
]

for (const [what, reason, answer, isRange] of NOT_UNDERSTOOD) {
  test(`handed over, with its connection dropped and nothing retried: ${what}`, async (t) => {
    const server = await rawServer(t, { answer: ({ socket }) => void socket.write(answer) })
    const retries: unknown[] = []
    const into = Buffer.alloc(3, 0x7f)
    const failed = server
      .openWire()
      .getInto(isRange ? ranged : request, into, { onRetry: (r) => retries.push(r) })
    await assert.rejects(failed, (error) => error instanceof HandOver && error.reason === reason)
    assert.deepEqual(retries, [])
    assert.equal(into.toString('latin1'), '\x7f\x7f\x7f')
    await gone(server.open)
  })
}

test('429, 408 and 5xx are asked again, on a connection that is kept, and are counted', async (t) => {
  const statuses = [429, 500, 502, 503, 504, 408]
  const seen = new Set<string>()
  const server = await rawServer(t, {
    answer({ socket, head }) {
      const status = / \/b\/(\d+) /.exec(head)?.[1] ?? ''
      socket.write(seen.has(status) ? ok('abc') : ok('<Error/>', {}, `${status} No`))
      seen.add(status)
    },
  })
  const wire = server.openWire({ retries: 1 })
  const slow = statuses.map(async (status) => {
    const seen: unknown[] = []
    await wire.getInto({ ...request, key: String(status) }, Buffer.alloc(3), {
      onRetry: ({ slowDown }) => void seen.push(slowDown),
      onRequest: (kind) => void seen.push(kind),
    })
    return seen
  })
  assert.deepEqual(
    await Promise.all(slow),
    statuses.map((status) => ['GET', status === 429 || status === 503, 'GET']),
  )
  assert.equal(server.connections, statuses.length)
})

test('Retry-After is waited for', async (t) => {
  const at: number[] = []
  const server = await rawServer(t, {
    answer({ socket, index }) {
      at.push(performance.now())
      socket.write(index === 0 ? ok('', { 'Retry-After': 1 }, '503 Slow Down') : ok('abc'))
    },
  })
  await get(server.openWire())
  assert.ok((at[1] ?? 0) - (at[0] ?? 0) >= 990)
})

const LOST: [string, (r: RawRequest) => void][] = [
  ['a reset before the answer', ({ socket }) => void socket.resetAndDestroy()],
  ['an end before the answer', ({ socket }) => void socket.end()],
  ['an end within the head', ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\nContent-Le')],
  [
    'an end within the body',
    ({ socket }) => void socket.end('HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 3\r\n\r\na'),
  ],
  ['a refusal without a length', ({ socket }) => void socket.write('HTTP/1.1 503 Slow\r\n\r\n')],
  [
    'a refusal in chunks',
    ({ socket }) => void socket.write('HTTP/1.1 503 S\r\nTransfer-Encoding: chunked\r\n\r\n3'),
  ],
]

for (const [what, answer] of LOST) {
  test(`asked again on another connection: ${what}`, async (t) => {
    const server = await rawServer(t, {
      answer: (r) => (r.index === 0 ? answer(r) : void r.socket.write(ok('abc'))),
    })
    await get(server.openWire())
    assert.equal(server.connections, 2)
  })
}

test('retries that run out end in the error that names the thing and the mend', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket }) => void socket.write(ok('', {}, '503 Slow Down')),
  })
  const failed = get(server.openWire({ retries: 1 }))
  await assert.rejects(failed, (error) => isLongshoreError(error, 'THROTTLED') && error.path === 's3://b/k')
  assert.equal(server.requests.length, 2)
})

test('a kept connection that the server had ended is replaced at once, and is no retry that counts', async (t) => {
  const server = await rawServer(t, {
    // The request crosses the good-bye.
    answer: ({ socket, index }) => void (index === 1 ? socket.resetAndDestroy() : socket.write(ok('abc'))),
  })
  const wire = server.openWire({ retries: 0 })
  await get(wire)
  await get(wire)
  assert.equal(server.requests.length, 3)
  assert.equal(server.connections, 2)
})

test('a fresh connection that is reset is not taken for a stale one', async (t) => {
  const server = await rawServer(t, { answer: ({ socket }) => void socket.resetAndDestroy() })
  await assert.rejects(get(server.openWire({ retries: 0 })), { code: 'SERVER' })
  assert.equal(server.requests.length, 1)
})

test('a server that says nothing is given up after the time-out, one that trickles is not', async (t) => {
  const server = await rawServer(t, {
    async answer({ socket, index }) {
      if (index > 0) return
      for (const byte of ok('abc')) {
        socket.write(Buffer.of(byte))
        await sleep(25)
      }
    },
  })
  const wire = server.openWire({ timeoutMs: 700, retries: 0 })
  await get(wire)
  await assert.rejects(get(wire), { code: 'TIMEOUT' })
})

test('time in which this process itself did nothing is not called a stall of the server', async (t) => {
  const server = await rawServer(t, {
    async answer({ socket }) {
      await sleep(100)
      socket.write(ok('abc'))
    },
  })
  const going = get(server.openWire({ timeoutMs: 1000, retries: 0 }))
  await sleep(50)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
  await going
})

test('an abort ends a request with its reason wherever that is: before it, connecting, waiting for its retry', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket }) => void socket.write(ok('', { 'Retry-After': 60 }, '503 Slow Down')),
  })
  const reason = new Error('stop')
  const wire = server.openWire()
  await assert.rejects(get(wire, { signal: AbortSignal.abort(reason) }), reason)
  const connecting = new AbortController()
  const first = get(wire, { signal: connecting.signal })
  connecting.abort(reason)
  await assert.rejects(first, reason)
  const waiting = new AbortController()
  await assert.rejects(get(wire, { signal: waiting.signal, onRetry: () => waiting.abort(reason) }), reason)
})

test('many requests share one listener on their signal, and leave none', async (t) => {
  const server = await rawServer(t, {
    async answer({ socket }) {
      await sleep(20)
      socket.write(ok('abc'))
    },
  })
  const { signal } = new AbortController()
  const wire = server.openWire()
  const going = Promise.all(Array.from({ length: 50 }, () => get(wire, { signal })))
  await sleep(5)
  assert.equal(getEventListeners(signal, 'abort').length, 1)
  await going
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('close() ends the sockets and rejects what is on the way, and what comes later', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket, index }) => void (index === 0 && socket.write(ok('abc'))),
  })
  const wire = server.openWire()
  await get(wire)
  const going = Promise.allSettled([get(wire), get(wire)])
  wire.close()
  for (const { status } of await going) assert.equal(status, 'rejected')
  await assert.rejects(get(wire), { code: 'INTERNAL' })
  await gone(server.open)
})

/** Every connection has been ended by the client. */
async function gone(open: Set<unknown>): Promise<void> {
  while (open.size > 0) await sleep(5)
}
