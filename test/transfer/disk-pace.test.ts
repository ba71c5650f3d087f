import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { openDiskPace } from '../../src/transfer/disk-pace.ts'

/** A pace over a clock of its own: each write takes so long, and of that the thread is busy so long. ms */
function paceOf(t: { mock: { method(on: object, name: string, by: () => number): unknown } }) {
  let wall = 0
  let busy = 0
  t.mock.method(performance, 'now', () => wall)
  const pace = openDiskPace({ slow: 3, most: 12, rest: 5 }, () => busy)
  const write = (ms: number, busyMs: number) => {
    const began = pace.now()
    wall += ms
    busy += busyMs
    pace.took(pace.now() - began)
  }
  return { pace, write }
}

test('a disk that is waited for is slow, and is tried again later', (t) => {
  const { pace, write } = paceOf(t)
  let writes = 0
  for (; !pace.slow; writes++) write(8, 0.3)
  assert.ok(writes > 16 && writes < 40, `${writes}`)
  for (let n = 0; n < 5; n++) {
    assert.ok(pace.slow)
    pace.skipped()
  }
  assert.ok(!pace.slow)
})

test('a thread that waits for a core has no slow disk, until it has one', (t) => {
  const { pace, write } = paceOf(t)
  for (let n = 0; n < 1000; n++) {
    write(8, 8)
    assert.ok(!pace.slow)
  }
  for (let n = 0; n < 80 && !pace.slow; n++) write(8, 0.3)
  assert.ok(pace.slow)
})

test('writes of the cores only are not slow, however coarsely the kernel counts them', (t) => {
  const { pace, write } = paceOf(t)
  for (let n = 0; n < 1000; n++) {
    write(4, n % 4 === 3 ? 16 : 0)
    assert.ok(!pace.slow)
  }
})

test('a few long writes among short ones are not a slow disk', (t) => {
  const { pace, write } = paceOf(t)
  for (let n = 0; n < 1000; n++) {
    write(n % 10 === 0 ? 50 : 0.2, 0.2)
    assert.ok(!pace.slow)
  }
})

const told = existsSync('/proc/thread-self/schedstat')

test('what the kernel tells of this very thread is believed', { skip: !told }, () => {
  const pace = openDiskPace({ slow: 1, most: 12, rest: 5 })
  const spin = (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; );
  }
  for (let n = 0; n < 40; n++) {
    const began = pace.now()
    spin(5)
    pace.took(pace.now() - began)
  }
  assert.ok(!pace.slow)
})
