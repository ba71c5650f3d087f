import assert from 'node:assert/strict'
import { test } from 'node:test'
import { judge } from '../../src/s3/failure.ts'
import { backoffMs, pause, retryAfterMs } from '../../src/s3/retry.ts'
import { TransportError } from '../../src/s3/transport-error.ts'

test('waits grow, are jittered over their whole width, and have an end', () => {
  const most = (attempt: number, slowDown = false) => backoffMs(attempt, { slowDown, random: () => 1 })
  assert.ok(most(2) === 2 * most(1))
  assert.ok(most(1, true) > most(1))
  assert.equal(most(50), 20_000)
  assert.equal(backoffMs(5, { random: () => 0 }), 0)
})

test("a server's Retry-After is honoured in both its forms, within reason", () => {
  assert.equal(retryAfterMs('3', 0), 3000)
  assert.equal(retryAfterMs('Thu, 01 Jan 1970 00:00:10 GMT', 4000), 6000)
  assert.equal(retryAfterMs('soon', 0), undefined)
  assert.equal(backoffMs(1, { retryAfterMs: 3000, random: () => 0 }), 3000)
  assert.equal(backoffMs(1, { retryAfterMs: 9_000_000, random: () => 0 }), 120_000)
})

test('a wait ends with its signal, by the reason of it', async () => {
  const controller = new AbortController()
  const waiting = pause(60_000, controller.signal)
  controller.abort(new Error('stop'))
  await assert.rejects(waiting, { message: 'stop' })
})

const answered = (status: number, name = 'Some', headers = {}) =>
  Object.assign(new Error(name), {
    name,
    $metadata: { httpStatusCode: status },
    $response: { statusCode: status, headers },
  })

test('each failure has its remedy', () => {
  const remedy = (error: unknown) => judge(error).remedy
  for (const status of [408, 429, 500, 502, 503, 504]) assert.equal(remedy(answered(status)), 'again')
  for (const status of [400, 403, 404, 412, 416, 501]) assert.equal(remedy(answered(status)), 'final')
  assert.equal(remedy(answered(501, 'NotImplemented')), 'checksums')
  assert.equal(remedy(answered(400, 'ExpiredToken')), 'refresh')
  assert.equal(remedy(answered(403, 'RequestTimeTooSkewed')), 'skew')
  assert.equal(remedy(answered(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' })), 'region')
  assert.equal(remedy(answered(409, 'ConditionalRequestConflict')), 'again')
  assert.equal(remedy(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })), 'unreachable')
  assert.equal(remedy(Object.assign(new Error('x'), { code: 'ECONNRESET' })), 'again')
  assert.equal(remedy(Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' })), 'final')
  assert.equal(remedy(new TransportError('timeout', 'x')), 'again')
  assert.equal(remedy(new TransportError('foreign', 'x', { status: 502 })), 'again')
  assert.equal(remedy(new TransportError('foreign', 'x', { status: 404 })), 'final')
  assert.equal(remedy('nonsense'), 'final')
})

test('only failures that may have been carried out are ambiguous', () => {
  assert.equal(judge(answered(500)).ambiguous, true)
  assert.equal(judge(answered(429)).ambiguous, false)
  assert.equal(judge(Object.assign(new Error('x'), { code: 'ECONNRESET' })).ambiguous, true)
  assert.equal(judge(Object.assign(new Error('x'), { code: 'ECONNREFUSED' })).ambiguous, false)
})
