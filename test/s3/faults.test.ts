import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import * as net from 'node:net'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { openStore } from '../../src/s3/open.ts'
import type { S3Settings } from '../../src/s3/settings.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import { withDevServer } from '../support/devserver.ts'

async function bucket(t: TestContext, changed: Partial<S3Settings> = {}) {
  const dev = await withDevServer(t, { undisturbed: 'its tests bring their own trouble, and count' })
  const reasons: string[] = []
  const { store } = await openStore(
    { kind: 's3', bucket: 'test', prefix: '' },
    { ...dev.settings, timeoutMs: 500, ...changed },
    { env: dev.env, onRetry: (reason) => reasons.push(reason) },
  )
  t.after(() => store.close())
  return { dev, store, reasons, faults: dev.server.faults, requests: dev.server.requests }
}

const read = async (store: ObjectStore, key: string) =>
  (await store.getDocument(key, { maxBytes: 1 << 20 }))?.bytes.toString()

test('a PUT whose answer was lost is written once, and says so', async (t) => {
  const { store, faults, dev } = await bucket(t)
  faults.add({ match: { operation: 'PutObject', first: 1 }, do: { kind: 'lost-answer' } })
  const outcome = await store.put({ key: 'log/1', body: Buffer.from('my nonce'), condition: 'absent' })
  assert.equal(outcome.status, 'written')
  assert.equal(dev.server.objects.get('test', 'log/1')?.toString(), 'my nonce')
})

test("a lost answer is not taken for success when someone else's bytes are there", async (t) => {
  const { store, faults, dev } = await bucket(t)
  dev.seed({ 'log/1': 'their nonc' })
  faults.add({ match: { operation: 'PutObject', first: 1 }, do: { kind: 'lost-answer' } })
  const outcome = await store.put({ key: 'log/1', body: Buffer.from('my nonce !'), condition: 'absent' })
  assert.deepEqual(outcome, { status: 'exists' })
  assert.equal(await read(store, 'log/1'), 'their nonc')
})

test('a replacement by ETag whose answer was lost is recognised as its own', async (t) => {
  const { store, faults } = await bucket(t)
  const first = await store.put({ key: 'k', body: Buffer.from('1') })
  assert.ok(first.status === 'written')
  faults.add({ match: { operation: 'PutObject', first: 1 }, do: { kind: 'lost-answer' } })
  const second = await store.put({ key: 'k', body: Buffer.from('2'), condition: { etag: first.etag } })
  assert.equal(second.status, 'written')
})

for (const condition of ['absent', undefined] as const) {
  test(`a Complete whose answer was lost is found to be done (${condition ?? 'no condition'})`, async (t) => {
    const { store, faults } = await bucket(t)
    const body = randomBytes(50_000)
    const uploadId = await store.createUpload('k')
    const part = await store.putPart({
      key: 'k',
      uploadId,
      partNumber: 1,
      offset: 0,
      body,
      crc32: crc32(body),
    })
    faults.add({ match: { operation: 'CompleteMultipartUpload', first: 1 }, do: { kind: 'lost-answer' } })
    const request = { key: 'k', uploadId, parts: [part], size: body.length, condition }
    assert.equal((await store.completeUpload(request)).status, 'written')
    // Killed before it was recorded, and run again: the same answer.
    assert.equal((await store.completeUpload(request)).status, 'written')
  })
}

test('an error under a 200 is an error: Complete is tried again', async (t) => {
  const { store, faults } = await bucket(t)
  const body = randomBytes(5000)
  const uploadId = await store.createUpload('k')
  const part = await store.putPart({ key: 'k', uploadId, partNumber: 1, offset: 0, body, crc32: crc32(body) })
  faults.add({ match: { operation: 'CompleteMultipartUpload', first: 2 }, do: { kind: 'error-in-200' } })
  await store.completeUpload({ key: 'k', uploadId, parts: [part], size: 5000 })
  assert.equal((await store.head('k'))?.size, 5000)
})

test('a store that refuses checksum headers is used without them from then on', async (t) => {
  for (const status of [501, 400]) {
    const { store, faults, reasons, requests } = await bucket(t)
    faults.add({ do: { kind: 'no-checksums', status } })
    await store.put({ key: 'a', body: Buffer.from('1') })
    await store.put({ key: 'b', body: Buffer.from('2') })
    assert.equal(requests.count('PutObject'), 3)
    assert.equal(reasons.length, 1)
    const into = Buffer.alloc(1)
    assert.equal((await store.getInto({ key: 'a', offset: 0, size: 1, etag: '' }, into)).check, 'size')
    const uploadId = await store.createUpload('c')
    const part = { key: 'c', uploadId, partNumber: 1, offset: 0, body: into, crc32: crc32(into) }
    await store.completeUpload({ key: 'c', uploadId, parts: [await store.putPart(part)], size: 1 })
    await store.remove(['a', 'b'])
    assert.equal(await read(store, 'a'), undefined)
  }
})

test('bytes that fail their checksum are read again, and INTEGRITY when they stay wrong', async (t) => {
  const { store, faults, requests } = await bucket(t)
  const body = randomBytes(1000)
  await store.put({ key: 'k', body })
  const remove = faults.add({ match: { operation: 'GetObject', first: 1 }, do: { kind: 'flip-byte', at: 5 } })
  const into = Buffer.alloc(1000)
  await store.getInto({ key: 'k', offset: 0, size: 1000, etag: '' }, into)
  assert.deepEqual(into, body)
  assert.equal(requests.count('GetObject'), 2)
  remove()
  faults.add({ match: { operation: 'GetObject' }, do: { kind: 'flip-byte', at: 5 } })
  await assert.rejects(store.getInto({ key: 'k', offset: 0, size: 1000, etag: '' }, into), {
    code: 'INTEGRITY',
  })
  await assert.rejects(store.getDocument('k', { maxBytes: 1000 }), { code: 'INTEGRITY' })
})

test('a stalled body and a stalled head are given up and asked for again', async (t) => {
  const { store, faults } = await bucket(t, { timeoutMs: 150 })
  const body = randomBytes(100_000)
  await store.put({ key: 'k', body })
  const get = { operation: 'GetObject' as const }
  faults.add({ match: { ...get, first: 1 }, do: { kind: 'stall', afterBytes: 50_000 } })
  faults.add({ match: { ...get, skip: 1, first: 1 }, do: { kind: 'stall' } })
  const into = Buffer.alloc(100_000)
  await store.getInto({ key: 'k', offset: 0, size: 100_000, etag: '' }, into)
  assert.deepEqual(into, body)
})

test('a server that never answers is TIMEOUT after the last retry', async (t) => {
  const { store, faults } = await bucket(t, { timeoutMs: 50, retries: 1 })
  faults.add({ do: { kind: 'stall' } })
  await assert.rejects(store.head('k'), { code: 'TIMEOUT', path: 's3://test/k' })
})

test('a server that stays overloaded is THROTTLED', async (t) => {
  const { store, faults, requests } = await bucket(t, { retries: 1 })
  faults.add({ do: { kind: 'status', status: 503 } })
  await assert.rejects(store.put({ key: 'k', body: Buffer.from('x') }), { code: 'THROTTLED' })
  assert.equal(requests.count(), 2)
})

test('refused credentials, a missing bucket and an expired session are one line each, without retries', async (t) => {
  const { dev, store, faults, requests } = await bucket(t)
  const open = async (name: string, env: Record<string, string>) => {
    const opened = await openStore({ kind: 's3', bucket: name, prefix: '' }, dev.settings, {
      env: { ...dev.env, ...env },
    })
    t.after(() => opened.store.close())
    return opened.store
  }
  const list = async (s: ObjectStore) => {
    for await (const _page of s.listPages({ prefix: '' })) return
  }
  await assert.rejects(list(await open('test', { AWS_ACCESS_KEY_ID: 'nobody' })), { code: 'BAD_CREDENTIALS' })
  await assert.rejects(list(await open('test', { AWS_SECRET_ACCESS_KEY: 'wrong' })), {
    code: 'BAD_CREDENTIALS',
  })
  // HEAD has no body to say why: the store asks once more, by GET.
  await assert.rejects((await open('test', { AWS_SECRET_ACCESS_KEY: 'wrong' })).head('k'), {
    code: 'BAD_CREDENTIALS',
  })
  await assert.rejects(list(await open('no-such-bucket', {})), {
    code: 'NO_BUCKET',
    path: 's3://no-such-bucket',
  })
  requests.clear()
  faults.add({ do: { kind: 'expired-token' } })
  await assert.rejects(list(store), { code: 'BAD_CREDENTIALS', hint: 'renew the session, then run again' })
  assert.equal(requests.count(), 1)
})

test('a wrong region is corrected once, from what the server says', async (t) => {
  const dev = await withDevServer(t, { region: 'eu-central-7', undisturbed: 'it counts the requests sent' })
  const store = await dev.openStore()
  await store.put({ key: 'k', body: Buffer.from('x') })
  await store.put({ key: 'l', body: Buffer.from('x') })
  assert.equal(dev.server.requests.count('PutObject'), 3)
})

test('a wrong endpoint says so soon: nothing listens, no S3 answers, no HTTP is spoken', async (t) => {
  const free = net.createServer().listen(0, '127.0.0.1')
  await once(free, 'listening')
  const closed = portOf(free)
  free.close()
  const html = await speaker(
    t,
    'HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>',
  )
  const smtp = await speaker(t, '220 mail.example.test ESMTP\r\n')
  const dev = await withDevServer(t)
  for (const [port, message] of [
    [closed, /can't be reached: ECONNREFUSED/],
    [html, /answered 404 with text\/html: .* this is not S3/],
    [smtp, /does not speak HTTP/],
  ] as const) {
    const settings = { ...dev.settings, endpointUrl: `http://127.0.0.1:${port}` }
    const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env: dev.env })
    t.after(() => store.close())
    await assert.rejects(store.getDocument('k', { maxBytes: 1 }), { code: 'UNREACHABLE', message })
  }
})

test('TLS is refused without the CA bundle, accepted with it or when not to be verified', async (t) => {
  const dev = await withDevServer(t, { tls: true })
  const strict = await dev.openStore({ caBundle: undefined })
  await assert.rejects(strict.head('k'), {
    code: 'TLS_REFUSED',
    hint: 'give its authority with --ca-bundle FILE',
  })
  const trusting = await dev.openStore()
  assert.equal(await trusting.head('k'), undefined)
  const careless = await dev.openStore({ caBundle: undefined, noVerifySsl: true })
  assert.equal(await careless.head('k'), undefined)
  const plain = await dev.openStore({ endpointUrl: dev.server.url.replace('https:', 'http:'), retries: 1 })
  await assert.rejects(plain.head('k'))
  await assert.rejects(dev.openStore({ caBundle: '/no/such.pem' }), { code: 'BAD_CONFIG' })
  await assert.rejects(dev.openStore({ endpointUrl: 'localhost:9000' }), { code: 'BAD_CONFIG' })
})

test('an http endpoint that is asked by https says so soon', async (t) => {
  const { dev } = await bucket(t)
  const endpointUrl = dev.server.url.replace('http:', 'https:')
  const retries: string[] = []
  const { store } = await openStore(
    { kind: 's3', bucket: 'test', prefix: '' },
    { ...dev.settings, endpointUrl },
    { env: dev.env, onRetry: (reason) => retries.push(reason) },
  )
  t.after(() => store.close())
  await assert.rejects(read(store, 'a'), { code: 'TLS_REFUSED', hint: 'is it an http:// endpoint?' })
  assert.ok(retries.length <= 3, String(retries.length))
})

test('anonymous requests carry no signature', async (t) => {
  const dev = await withDevServer(t, { anonymous: true })
  dev.seed({ k: 'public' })
  const env = { HOME: dev.env.HOME }
  const settings = { ...dev.settings, noSignRequest: true }
  const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env })
  t.after(() => store.close())
  assert.equal(await read(store, 'k'), 'public')
})

test('a listing in no order, over many pages, is delivered whole', async (t) => {
  const { dev, store, faults } = await bucket(t)
  const names = Array.from({ length: 1200 }, (_, i) => `k/${String(i).padStart(5, '0')}`)
  dev.seed(Object.fromEntries(names.map((name) => [name, ''])))
  faults.add({ do: { kind: 'unsorted' } })
  const found: string[] = []
  let pages = 0
  for await (const page of store.listPages({ prefix: 'k/' })) {
    pages++
    found.push(...page.objects.map((o) => o.key))
  }
  assert.equal(pages, 2)
  assert.notDeepEqual(found, names)
  assert.deepEqual(found.sort(), names)
})

test('a stream that breaks leaves no object and no open upload', async (t) => {
  const { dev, store } = await bucket(t)
  async function* breaking() {
    for (let i = 0; i < 20; i++) yield randomBytes(1 << 20)
    throw new Error('disk gone')
  }
  await assert.rejects(store.putStream('s', Readable.from(breaking())), {
    code: 'LOCAL_IO',
    message: /disk gone/,
  })
  assert.equal(dev.server.objects.get('test', 's'), undefined)
  assert.deepEqual(dev.server.objects.uploads('test'), [])
})

test("the SDK's warning about Node versions never reaches the user, and nothing is left in the environment", async (t) => {
  const warnings: string[] = []
  const onWarning = (warning: Error) => warnings.push(warning.message)
  process.on('warning', onWarning)
  t.after(() => process.removeListener('warning', onWarning))
  const { store } = await bucket(t)
  await Promise.all(Array.from({ length: 60 }, (_, i) => store.put({ key: `k${i}`, body: Buffer.from('x') })))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(warnings, [])
  assert.equal(process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED, undefined)
})

async function speaker(t: TestContext, greeting: string): Promise<number> {
  const server = net.createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(greeting))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return portOf(server)
}

function portOf(server: net.Server): number {
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

test('an answer without an ETag confirms nothing: it is neither the listed object nor a changed one', async (t) => {
  const { store, faults, dev } = await bucket(t)
  dev.seed({ k: 'bytes' })
  const etag = (await store.head('k'))?.etag ?? ''
  faults.add({ match: { operation: 'GetObject' }, do: { kind: 'header', name: 'ETag' } })
  const into = Buffer.alloc(5)
  await assert.rejects(store.getInto({ key: 'k', offset: 0, size: 5, etag }, into), {
    code: 'SERVER',
    path: 's3://test/k',
    message: /no ETag/,
  })
  const got = await store.getInto({ key: 'k', offset: 0, size: 5, etag: '' }, into)
  assert.deepEqual([got.etag, into.toString()], ['', 'bytes'])
})
