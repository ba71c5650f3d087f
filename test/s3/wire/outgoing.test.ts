import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { Outgoing } from '../../../src/s3/wire/outgoing.ts'

const SLICE = 256 * 1024

/** A socket that keeps what it is given until it is told to let go. */
function slowSocket() {
  const given: { bytes: Uint8Array; done: (error?: Error) => void }[] = []
  const socket = { write: (bytes: Uint8Array, done: () => void) => given.push({ bytes, done }) }
  const letGo = (error?: Error) => given.shift()?.done(error)
  return { socket: socket as unknown as Socket, given, letGo }
}

test('a body goes out a slice at a time, the next one when the last one is gone', () => {
  const { socket, given, letGo } = slowSocket()
  const body = Buffer.alloc(2 * SLICE + 5, 'b')
  const outgoing = new Outgoing(socket, () => true)
  outgoing.begin(body)
  const lengths: number[] = []
  const half: boolean[] = []
  while (given.length > 0) {
    assert.equal(given.length, 1)
    lengths.push(given[0]?.bytes.length ?? 0)
    half.push(outgoing.halfSent)
    assert.equal(outgoing.busy, true)
    letGo()
  }
  assert.deepEqual(lengths, [SLICE, SLICE, 5])
  assert.deepEqual(half, [true, true, false])
  assert.equal(outgoing.busy, false)
})

test('a request without a body, or with an empty one, gives the socket nothing', () => {
  const { socket, given } = slowSocket()
  const outgoing = new Outgoing(socket, () => true)
  for (const body of [undefined, Buffer.alloc(0)]) {
    outgoing.begin(body)
    assert.deepEqual([given.length, outgoing.busy, outgoing.halfSent], [0, false, false])
  }
})

test('an answer that is whole before the last bytes are gone waits for them, once', () => {
  const { socket, letGo } = slowSocket()
  const outgoing = new Outgoing(socket, () => true)
  let told = 0
  for (const round of [1, 2]) {
    outgoing.begin(Buffer.from('body'))
    outgoing.whenGone(() => told++)
    assert.equal(told, round - 1)
    letGo()
    assert.equal(told, round)
  }
})

test('when the connection is dead, or the write failed, no more is sent and nobody is told that it is gone', () => {
  for (const how of ['dead', 'failed']) {
    const { socket, given, letGo } = slowSocket()
    let dead = false
    const outgoing = new Outgoing(socket, () => !dead)
    outgoing.begin(Buffer.alloc(2 * SLICE))
    outgoing.whenGone(() => assert.fail('told'))
    dead = how === 'dead'
    letGo(how === 'failed' ? new Error('EPIPE') : undefined)
    assert.deepEqual([given.length, outgoing.busy], [0, false])
  }
})

test('a body that is let go is not sent on by a slice that comes back late', () => {
  const { socket, given, letGo } = slowSocket()
  const outgoing = new Outgoing(socket, () => true)
  outgoing.begin(Buffer.alloc(2 * SLICE))
  outgoing.begin(undefined)
  assert.equal(outgoing.halfSent, false)
  letGo()
  assert.equal(given.length, 0)
})
