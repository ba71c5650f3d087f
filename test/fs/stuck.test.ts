import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { test } from 'node:test'
import { openWatch } from '../../src/fs/stuck.ts'

test('an operation that never returns is STUCK, and names its path; the others have their own time', async () => {
  const watch = openWatch(60)
  const never = new Promise<never>(() => {})
  const first = watch.over('/mnt/dead', never)
  const kept = setInterval(() => {}, 1000)
  await assert.rejects(first, { code: 'STUCK', path: '/mnt/dead' })
  assert.equal((await watch.over('/', stat('/'))).isDirectory(), true)
  await assert.rejects(watch.over('/mnt/worse', never), { code: 'STUCK', path: '/mnt/worse' })
  clearInterval(kept)
})

test('a failure stays what it is', async () => {
  await assert.rejects(openWatch(60).over('/nowhere', stat('/nowhere/at/all')), { code: 'ENOENT' })
})

test('a process that stood still does not take the disk for dead', async () => {
  const watch = openWatch(50)
  const looking = watch.over('/', stat('/'))
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  assert.equal((await looking).isDirectory(), true)
})
