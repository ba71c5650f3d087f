import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { get } from 'node:https'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { FaultAction } from '../../src/devserver/fault-rule.ts'
import { type TestServer, withDevServer } from '../support/devserver.ts'
import { until } from '../support/until.ts'

const BODY = '0123456789'

async function setUp(t: TestContext, action: FaultAction): Promise<TestServer> {
  const test = await withDevServer(t, { anonymous: true, faults: [{ do: action, match: { key: 'k' } }] })
  test.seed({ k: BODY, plain: 'plain' })
  return test
}

interface Heard {
  text: string
  ended: boolean
}

/** Asks for keys one after the other on one connection, byte by byte as it comes, until `until` is in it or it ends. */
function ask(test: TestServer, keys: readonly string[], until?: string): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const heard: Heard = { text: '', ended: false }
    const socket = connect(test.server.port, '127.0.0.1')
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      heard.text += chunk.toString('latin1')
      if (until !== undefined && heard.text.includes(until)) socket.destroy()
    })
    socket.on('end', () => {
      heard.ended = true
    })
    socket.on('close', () => resolve(heard))
    socket.write(keys.map((key) => `GET /${test.bucket}/${key} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`).join(''))
  })
}

test('a cut head is no more than so many bytes of a right one, then the end', async (t) => {
  const test = await setUp(t, { kind: 'cut-head', bytes: 25 })
  const { text, ended } = await ask(test, ['k'])
  assert.deepEqual([text, ended], ['HTTP/1.1 200 OK\r\ncontent-', true])
})

test('a slow head stops where it should and then goes on, and the body follows', async (t) => {
  const test = await setUp(t, { kind: 'slow-head', bytes: 12, ms: 100_000 })
  assert.equal((await ask(test, ['k'], 'HTTP/1.1 200')).text, 'HTTP/1.1 200')
  test.server.faults.clear()
  test.server.faults.add({ do: { kind: 'slow-head', bytes: 12, ms: 20 } })
  const { text } = await ask(test, ['k'])
  assert.match(text, /^HTTP\/1\.1 200 OK\r\n[\s\S]*content-length: 10\r\n[\s\S]*\r\n\r\n0123456789$/)
})

test('a header of the answer is changed, or left out, and the body is what it was', async (t) => {
  const test = await setUp(t, { kind: 'header', name: 'Content-Length', value: '4' })
  const short = await ask(test, ['k'], BODY)
  assert.match(short.text, /content-length: 4\r\n[\s\S]*\r\n\r\n0123456789$/)
  test.server.faults.clear()
  test.server.faults.add({ do: { kind: 'header', name: 'ETag' } })
  const without = await ask(test, ['k'], BODY)
  assert.doesNotMatch(without.text, /etag/i)
  test.server.faults.add({ do: { kind: 'header', name: 'connection', value: 'close' } })
  assert.equal((await ask(test, ['k'])).ended, true)
})

test('extra bytes come after the body and before the next answer', async (t) => {
  const test = await setUp(t, { kind: 'extra-bytes', bytes: 7 })
  const { text } = await ask(test, ['k', 'plain'], '\r\n\r\nplain')
  assert.match(text, /0123456789extraexHTTP\/1\.1 200/)
})

test('a chunked answer has no Content-Length', async (t) => {
  const test = await setUp(t, { kind: 'chunked' })
  const { text } = await ask(test, ['k'], '\r\n0\r\n\r\n')
  assert.match(text, /transfer-encoding: chunked[\s\S]*\r\n\r\na\r\n0123456789\r\n0\r\n\r\n$/)
  assert.doesNotMatch(text, /content-length/)
})

test('an interim answer comes before the real one', async (t) => {
  const test = await setUp(t, { kind: 'interim' })
  assert.match((await ask(test, ['k'], BODY)).text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK/)
})

test('a redirect names the endpoint and the region as S3 does', async (t) => {
  const test = await setUp(t, { kind: 'redirect', location: 'https://elsewhere/k', region: 'eu-west-1' })
  const { text } = await ask(test, ['k'], '</Error>')
  assert.match(text, /^HTTP\/1\.1 307 Temporary Redirect\r\n/)
  assert.match(text, /location: https:\/\/elsewhere\/k\r\n[\s\S]*x-amz-bucket-region: eu-west-1\r\n/)
  assert.match(text, /<Code>TemporaryRedirect<\/Code>/)
})

test('a reset reaches a client that talks TLS, and the server goes on', async (t) => {
  const { server, bucket, settings, seed } = await withDevServer(t, { tls: true, anonymous: true })
  const ca = readFileSync(settings.caBundle ?? '')
  seed({ k: Buffer.alloc(2_000_000) })
  const fetched = () =>
    new Promise<number | string>((resolve) => {
      const request = get(`${server.url}/${bucket}/k`, { ca, agent: false }, (answer) => {
        answer.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
        answer.on('end', () => resolve(answer.statusCode ?? 0))
        answer.resume()
      })
      request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
    })
  for (const action of [{ kind: 'reset' }, { kind: 'reset', afterBytes: 600_000 }] as const) {
    const remove = server.faults.add({ do: action })
    assert.equal(await fetched(), 'ECONNRESET')
    remove()
    assert.equal(await fetched(), 200)
  }
})

test('the server closes although a client went with answers still queued behind one that never came', async (t) => {
  const { server, bucket, seed } = await withDevServer(t, { anonymous: true, undisturbed: 'counts' })
  const keys = ['first', 'body', 'head', 'late', 'large', 'plain']
  seed(Object.fromEntries(keys.map((key) => [key, Buffer.alloc(key === 'large' ? 3_000_000 : 100_000)])))
  const faults: [string, FaultAction][] = [
    ['first', { kind: 'stall', afterBytes: 10 }],
    ['body', { kind: 'flip-byte', at: 7 }],
    ['head', { kind: 'slow-head', bytes: 12, ms: 100_000 }],
    ['late', { kind: 'delay', ms: 100_000 }],
  ]
  for (const [key, action] of faults) server.faults.add({ do: action, match: { key } })
  const socket = connect(server.port, '127.0.0.1')
  socket.on('error', () => undefined)
  const answered = once(socket, 'data')
  socket.write(keys.map((key) => `GET /${bucket}/${key} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`).join(''))
  await answered
  // All but the late one, which is in the log when it is answered.
  const bound = { times: 2000, everyMs: 5 }
  await until(() => server.requests.count('GetObject') >= keys.length - 1, bound)
  socket.destroy()
  const closed = await Promise.race([
    server.close().then(() => true),
    setTimeout(20_000, false, { ref: false }),
  ])
  assert.equal(closed, true)
})
