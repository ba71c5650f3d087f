import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FaultAction, FaultMatch } from '../../src/devserver/fault-rule.ts'
import { openClient, type RawAnswer, type RawRequest } from '../conformance/raw-client.ts'
import { withDevServer } from '../support/devserver.ts'

const BODY = Buffer.from('0123456789'.repeat(100_000))

async function setUp(t: TestContext) {
  const { server, bucket, seed } = await withDevServer(t)
  const raw = openClient({
    endpoint: server.url,
    bucket,
    region: 'us-east-1',
    accessKeyId: 'longshore',
    secretAccessKey: 'longshore-secret',
  })
  t.after(() => raw.close())
  seed({ big: BODY, small: 'small' })
  const fault = (action: FaultAction | FaultAction[], match?: FaultMatch) =>
    server.faults.add({ do: action, match })
  const send = (request: RawRequest): Promise<RawAnswer> => raw.send(request)
  const brokenCode = async (request: RawRequest) => {
    const error = await send(request).then(
      () => undefined,
      (reason: NodeJS.ErrnoException) => reason,
    )
    assert.ok(error, 'the connection was not cut')
    return error.code
  }
  return { server, bucket, fault, send, brokenCode }
}

test('a status is answered with the code S3 uses for it, and Retry-After where asked', async (t) => {
  const { fault, send } = await setUp(t)
  const codes = {
    500: 'InternalError',
    503: 'SlowDown',
    429: 'TooManyRequests',
    409: 'ConditionalRequestConflict',
  }
  for (const [status, code] of Object.entries(codes)) {
    const remove = fault({ kind: 'status', status: Number(status), retryAfter: 2 })
    const answer = await send({ key: 'small' })
    assert.deepEqual([answer.status, answer.code, answer.headers['retry-after']], [Number(status), code, '2'])
    remove()
  }
  fault({ kind: 'expired-token' })
  const expired = await send({ key: 'small' })
  assert.deepEqual([expired.status, expired.code], [400, 'ExpiredToken'])
})

test('a rule strikes the requests it names, in turn: skip, every, first', async (t) => {
  const { fault, send } = await setUp(t)
  fault({ kind: 'status', status: 503 }, { operation: 'GetObject', key: /^sm/, skip: 1, every: 2, first: 2 })
  const statuses: number[] = []
  for (let i = 0; i < 8; i++) {
    assert.equal((await send({ key: 'big', headers: { range: 'bytes=0-0' } })).status, 206)
    assert.equal((await send({ method: 'HEAD', key: 'small' })).status, 200)
    statuses.push((await send({ key: 'small' })).status)
  }
  assert.deepEqual(statuses, [200, 200, 503, 200, 503, 200, 200, 200])
})

test('actions in turn strike one at a time', async (t) => {
  const { server, send } = await setUp(t)
  server.faults.add({
    match: { every: 2 },
    do: [503, 500, 429].map((status) => ({ kind: 'status', status })),
    inTurn: true,
  })
  const statuses: number[] = []
  for (let i = 0; i < 8; i++) statuses.push((await send({ key: 'small' })).status)
  assert.deepEqual(statuses, [200, 503, 200, 500, 200, 429, 200, 503])
})

test('a probability strikes the same requests for the same seed', async (t) => {
  const { fault, server, send } = await setUp(t)
  const struck = async () => {
    fault({ kind: 'status', status: 500 }, { probability: 0.5, seed: 7 })
    const statuses: number[] = []
    for (let i = 0; i < 20; i++) statuses.push((await send({ key: 'small' })).status)
    server.faults.clear()
    return statuses
  }
  const first = await struck()
  assert.ok(first.includes(200) && first.includes(500))
  assert.deepEqual(await struck(), first)
})

test('a reset comes before the answer, in the middle of a body sent, or of a body received', async (t) => {
  const { fault, server, bucket, brokenCode } = await setUp(t)
  fault({ kind: 'reset' }, { key: 'small' })
  assert.equal(await brokenCode({ key: 'small' }), 'ECONNRESET')
  fault({ kind: 'reset', afterBytes: 300_000 }, { method: 'GET', key: 'big' })
  assert.equal(await brokenCode({ key: 'big' }), 'ECONNRESET')
  fault({ kind: 'reset', afterBytes: 300_000 }, { method: 'PUT', key: 'new' })
  assert.match(String(await brokenCode({ method: 'PUT', key: 'new', body: BODY })), /ECONNRESET|EPIPE/)
  assert.equal(server.objects.get(bucket, 'new'), undefined)
})

test('a short body ends early under a Content-Length that promised more, or under an honest one', async (t) => {
  const { fault, send, brokenCode } = await setUp(t)
  const remove = fault({ kind: 'short-body', bytes: 1000 })
  assert.equal(await brokenCode({ key: 'big' }), 'ECONNRESET') // node's name for an aborted answer
  remove()
  fault({ kind: 'short-body', bytes: 1000, honest: true })
  const answer = await send({ key: 'big' })
  assert.deepEqual([answer.status, answer.headers['content-length']], [200, '1000'])
  assert.deepEqual(answer.body, BODY.subarray(0, 1000))
})

test('one byte of the answer is wrong, and only one', async (t) => {
  const { fault, send, server, bucket } = await setUp(t)
  fault({ kind: 'flip-byte', at: 600_000 })
  const { body } = await send({ key: 'big' })
  assert.equal(body.length, BODY.length)
  const wrong = [...body.keys()].filter((i) => body[i] !== BODY[i])
  assert.deepEqual(wrong, [600_000])
  assert.deepEqual(server.objects.get(bucket, 'big'), BODY)
})

test('a lost answer leaves the work done', async (t) => {
  const { fault, server, bucket, brokenCode } = await setUp(t)
  fault({ kind: 'lost-answer' }, { operation: 'PutObject' })
  assert.equal(await brokenCode({ method: 'PUT', key: 'new', body: 'done' }), 'ECONNRESET')
  assert.equal(server.objects.get(bucket, 'new')?.toString(), 'done')
  assert.equal(server.requests.all().at(-1)?.status, 0)
})

test('an error inside a 200 leaves the work undone', async (t) => {
  const { fault, send, server, bucket } = await setUp(t)
  fault({ kind: 'error-in-200' }, { operation: 'CopyObject' })
  const answer = await send({
    method: 'PUT',
    key: 'copy',
    headers: { 'x-amz-copy-source': `${bucket}/small` },
  })
  assert.deepEqual([answer.status, answer.code], [200, 'InternalError'])
  assert.equal(server.objects.get(bucket, 'copy'), undefined)
})

test('an unsorted listing has every key once, over all pages, in another order', async (t) => {
  const { fault, send, server, bucket } = await setUp(t)
  for (let i = 0; i < 50; i++) server.objects.put(bucket, `many/${String(i).padStart(2, '0')}`, '')
  fault({ kind: 'unsorted' })
  const keys: string[] = []
  let token: string | undefined
  do {
    const query = { 'list-type': '2', prefix: 'many/', 'max-keys': '7' }
    const page = await send({
      query: token === undefined ? query : { ...query, 'continuation-token': token },
    })
    const text = page.body.toString()
    for (const [, key] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) keys.push(key ?? '')
    token = /<NextContinuationToken>([^<]*)</.exec(text)?.[1]
  } while (token !== undefined)
  assert.deepEqual([...keys].sort(), server.objects.keys(bucket, 'many/'))
  assert.notDeepEqual(keys, server.objects.keys(bucket, 'many/'))
})

test('a stall keeps the connection and says nothing more', async (t) => {
  const { fault, send } = await setUp(t)
  fault({ kind: 'stall' }, { key: 'small' })
  fault({ kind: 'stall', afterBytes: 1000 }, { key: 'big' })
  for (const key of ['small', 'big']) {
    const answer = send({ key }).then(
      () => 'answered',
      () => 'cut',
    )
    const waited = new Promise((resolve) => setTimeout(resolve, 100, 'waiting'))
    assert.equal(await Promise.race([answer, waited]), 'waiting')
  }
})

test('a throttled or delayed answer is whole', async (t) => {
  const { fault, send } = await setUp(t)
  fault([
    { kind: 'delay', ms: 20 },
    { kind: 'throttle', bytesPerSecond: 10_000_000 },
  ])
  assert.deepEqual((await send({ key: 'big' })).body, BODY)
  assert.equal((await send({ method: 'PUT', key: 'new', body: BODY })).status, 200)
})

test('a store that ignores conditions overwrites', async (t) => {
  const { fault, send, server, bucket } = await setUp(t)
  fault({ kind: 'ignore-conditions' })
  const answer = await send({ method: 'PUT', key: 'small', body: 'new', headers: { 'if-none-match': '*' } })
  assert.equal(answer.status, 200)
  assert.equal(server.objects.get(bucket, 'small')?.toString(), 'new')
})

test('a store without checksums refuses the headers and returns none', async (t) => {
  const { fault, send } = await setUp(t)
  const put = { method: 'PUT', key: 'sum', body: 'x', headers: { 'x-amz-checksum-crc32': 'jNwWgw==' } }
  const before = await send(put)
  assert.equal(before.status, 200, before.body.toString())
  fault({ kind: 'no-checksums' })
  const refused = await send(put)
  assert.deepEqual([refused.status, refused.code], [501, 'NotImplemented'])
  const got = await send({ key: 'sum', headers: { 'x-amz-checksum-mode': 'ENABLED' } })
  assert.deepEqual([got.status, got.headers['x-amz-checksum-crc32']], [200, undefined])
})

test('the log counts by operation and remembers key, range and status', async (t) => {
  const { send, server } = await setUp(t)
  await send({ key: 'big', headers: { range: 'bytes=0-9' } })
  await send({ key: 'nothing' })
  await send({ method: 'PUT', key: 'new', body: '12345' })
  assert.deepEqual(server.requests.counts(), { GetObject: 2, PutObject: 1 })
  const [first, second, third] = server.requests.all()
  assert.deepEqual([first?.key, first?.range, first?.status, first?.bytesOut], ['big', 'bytes=0-9', 206, 10])
  assert.deepEqual([second?.key, second?.status, second?.bytesOut], ['nothing', 404, 0])
  assert.deepEqual([third?.operation, third?.bytesIn], ['PutObject', 5])
  server.requests.clear()
  assert.equal(server.requests.count(), 0)
})
