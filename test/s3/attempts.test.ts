import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import {
  type AttemptOptions,
  type Call,
  markStale,
  newServerState,
  withAttempts,
} from '../../src/s3/attempts.ts'
import { Refusal } from '../../src/s3/refusal.ts'
import { TransportError } from '../../src/s3/transport-error.ts'
import { HandOver } from '../../src/s3/wire/types.ts'

const subject = { kind: 'GET', url: 's3://b/k', bucket: 'b', endpoint: 'http://h:1' }
const reset = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
const refused = () =>
  Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', syscall: 'connect' })

function asked(changed: Partial<AttemptOptions> = {}, call: Partial<Call> = {}) {
  const requests: string[] = []
  const retries: { reason: string; slowDown: boolean }[] = []
  const waits: number[] = []
  const options: AttemptOptions = {
    call: { kind: 'GET', onRequest: (kind) => requests.push(kind), onRetry: (r) => retries.push(r), ...call },
    subject,
    settings: { retries: 4 },
    state: newServerState(),
    wait: async (ms) => void waits.push(ms),
    ...changed,
  }
  /** Fails by each of `failures` in turn, then answers. */
  const ask = (...failures: unknown[]) =>
    withAttempts(options, async () => {
      if (failures.length > 0) throw failures.shift()
      return 'bytes'
    })
  return { options, requests, retries, waits, ask }
}

test('what is transient is asked again, each attempt counted, each retry told', async () => {
  const { ask, requests, retries, waits } = asked()
  const failures = [
    new Refusal(503, 'SlowDown'),
    new Refusal(500, ''),
    reset(),
    new TransportError('timeout', 'late'),
  ]
  assert.equal(await ask(...failures), 'bytes')
  assert.deepEqual(requests, ['GET', 'GET', 'GET', 'GET', 'GET'])
  assert.equal(waits.length, 4)
  assert.deepEqual(
    retries.map(({ reason, slowDown }) => [reason, slowDown]),
    [
      ['GET: 503 SlowDown', true],
      ['GET: 500 Unknown', false],
      ['GET: ECONNRESET', false],
      ['GET: late', false],
    ],
  )
})

test('when the retries are used up the last failure is explained', async () => {
  const four = <T>(make: () => T) => Array.from({ length: 5 }, make)
  for (const [failures, code, attempts] of [
    [four(() => new Refusal(503, 'SlowDown')), 'THROTTLED', 5],
    [four(() => new Refusal(429, '')), 'THROTTLED', 5],
    [four(() => new Refusal(500, 'InternalError')), 'SERVER', 5],
    [four(() => new TransportError('timeout', 'x')), 'TIMEOUT', 5],
    [four(reset), 'SERVER', 5],
    [four(refused), 'UNREACHABLE', 4],
  ] as const) {
    for (const handOver of [false, true]) {
      const { ask, requests } = asked({ handOver })
      await assert.rejects(ask(...failures), { code })
      assert.equal(requests.length, attempts, code)
    }
  }
})

test('a host that has answered once is not given up early', async () => {
  const { ask, requests } = asked()
  await ask()
  await ask(refused(), refused(), refused(), refused())
  assert.equal(requests.length, 6)
})

test('what the attempt says itself passes through, at once', async () => {
  for (const error of [new HandOver('chunked'), new LongshoreError('SOURCE_CHANGED', 'changed')]) {
    const { ask, requests } = asked()
    await assert.rejects(ask(error), (thrown) => thrown === error)
    assert.equal(requests.length, 1)
  }
})

test('what is not transient is handed over where there is another lane, else explained', async () => {
  for (const [error, reason, code] of [
    [new Refusal(403, 'AccessDenied'), '403 AccessDenied', 'ACCESS_DENIED'],
    [new Refusal(400, 'ExpiredToken'), '400 ExpiredToken', 'BAD_CREDENTIALS'],
    [new Refusal(301, 'PermanentRedirect'), '301 PermanentRedirect', 'NO_BUCKET'],
    [new Refusal(501, 'NotImplemented'), '501 NotImplemented', 'SERVER'],
    [new Refusal(404, ''), '404 Unknown', 'NOT_FOUND'],
    [
      new TransportError('foreign', 'answered 404 with text/html: "<h1>x"', { status: 404 }),
      'foreign',
      'UNREACHABLE',
    ],
    [Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }), 'CERT_HAS_EXPIRED', 'TLS_REFUSED'],
  ] as const) {
    await assert.rejects(asked({ handOver: true }).ask(error), { name: 'HandOver', reason })
    await assert.rejects(asked().ask(error), { code })
  }
})

test('a stale kept-alive connection costs no retry and no wait', async () => {
  const { ask, waits, requests } = asked({ settings: { retries: 0 } })
  assert.equal(await ask(markStale(reset()), markStale(reset()), markStale(reset())), 'bytes')
  assert.deepEqual([waits.length, requests.length], [0, 4])
  await assert.rejects(ask(...Array.from({ length: 4 }, () => markStale(reset()))), { code: 'SERVER' })
})

test("a server's Retry-After is waited for, and not for ever", async () => {
  const patient = asked()
  await patient.ask(new Refusal(503, 'SlowDown', { retryAfter: '7' }))
  assert.deepEqual(patient.waits, [7000])
  const held = asked({ settings: { retries: 100 } })
  await assert.rejects(
    held.ask(...Array.from({ length: 50 }, () => new Refusal(503, '', { retryAfter: '120' }))),
    { code: 'THROTTLED' },
  )
  assert.deepEqual(held.waits, [120_000, 120_000])
})

test('something learned is asked with at once, and costs no retry', async () => {
  const learned: string[] = []
  const { ask, waits } = asked({
    settings: { retries: 0 },
    learn: async ({ code }) => learned.push(code) === 1,
  })
  assert.equal(await ask(new Refusal(400, 'ExpiredToken')), 'bytes')
  await assert.rejects(ask(new Refusal(400, 'ExpiredToken')), { code: 'BAD_CREDENTIALS' })
  assert.deepEqual(waits, [])
})

test('where nothing gets through, new calls begin with the longer waits, until something does', async (t) => {
  t.mock.method(Math, 'random', () => 1)
  const { ask, waits, options } = asked()
  const firstWait = async () => {
    await ask(reset())
    return waits.at(-1)
  }
  assert.equal(await firstWait(), 150)
  options.state.streak = 1000
  assert.equal(await firstWait(), 1200)
  assert.equal(options.state.streak, 0)
  assert.equal(await firstWait(), 150)
})

test('an aborted call rejects with its reason, before an attempt and instead of a retry', async () => {
  const reason = new Error('stop')
  const before = asked({}, { signal: AbortSignal.abort(reason) })
  await assert.rejects(before.ask(), (error) => error === reason)
  assert.deepEqual(before.requests, [])
  const controller = new AbortController()
  const during = asked({}, { signal: controller.signal })
  await assert.rejects(
    withAttempts(during.options, async () => {
      controller.abort(reason)
      throw reset()
    }),
    (error) => error === reason,
  )
  assert.deepEqual(during.retries, [])
})

test('a failure that may have been carried out is remembered, the final one is told', async () => {
  const finals: string[] = []
  const call: Partial<Call> = { onFinal: (failure) => finals.push(failure.code) }
  const { options, ask } = asked({ settings: { retries: 1 } }, call)
  await ask(new Refusal(429, ''))
  assert.equal(options.call.ambiguous, undefined)
  await assert.rejects(ask(reset(), new Refusal(403, 'AccessDenied')))
  assert.equal(options.call.ambiguous, true)
  assert.deepEqual(finals, ['AccessDenied'])
})
