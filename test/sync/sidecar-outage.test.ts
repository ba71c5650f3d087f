import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { memoryBucket } from '../support/memory-store.ts'
import { failing, finish, putTree, RUN, startSidecar } from '../support/sidecar.ts'
import { tempDir } from '../support/tmp.ts'

test('a drain that ends before its last look does is not called complete, and names what was still settling', async (t) => {
  const dir = tempDir(t)
  const sidecar = await startSidecar(dir, memoryBucket(), { settle: 600_000 })
  putTree(dir, { 'c-1/a': 'one' })
  await sidecar.told('layout')
  sidecar.drain.begin({ final: false })
  sidecar.drain.limit(150)
  const result = await sidecar.done
  assert.equal(result.looked, false)
  assert.deepEqual(result.pending, ['c-1'])
})

test('a drain that ends before the store could be reached is not called complete', async (t) => {
  const dir = tempDir(t)
  const fault = failing(/\.longshore\/log\/0/)
  const sidecar = await startSidecar(dir, memoryBucket(), { turn: fault.turn })
  await sidecar.warned(/can not be taken over/)
  sidecar.drain.begin({ final: false })
  sidecar.drain.limit(50)
  assert.equal((await sidecar.done).looked, false)
})

test('a store that is down when DIR appears is tried again: nothing is committed only for as long as it is down', async (t) => {
  const dir = join(tempDir(t), 'ckpt')
  const bucket = memoryBucket()
  const fault = failing(/./)
  fault.on = false
  const sidecar = await startSidecar(dir, bucket, { turn: fault.turn })
  await sidecar.warned(/waiting for it/)
  fault.on = true
  mkdirSync(dir)
  putTree(dir, { 'c-1/a': 'one' })
  await sidecar.warned(/can not be taken over yet: UNREACHABLE/)
  fault.on = false
  await sidecar.told('committed', 'c-1')
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
  assert.equal(result.looked, true)
})

test('one pass does not wait for a store that is down', async (t) => {
  const { turn } = failing(/\.longshore\/log\/0/)
  const sidecar = await startSidecar(tempDir(t), memoryBucket(), { once: true, turn })
  await assert.rejects(sidecar.done, { code: 'UNREACHABLE' })
})

test('a log that takes its time to be copied keeps no checkpoint from being staged', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  let release = (): void => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const stuck = /train\.log$/
  const sidecar = await startSidecar(dir, bucket, {
    also: (path) => stuck.test(path),
    async turn(moment, call) {
      if (moment === 'before' && stuck.test(call.key)) await held
      return undefined
    },
  })
  putTree(dir, { 'train.log': 'step 1' })
  await sidecar.told('layout')
  await new Promise((resolve) => setTimeout(resolve, 200))
  putTree(dir, { 'c-1/a': 'one' })
  const first = await Promise.race([
    sidecar.told('committed', 'c-1').then(() => 'committed'),
    new Promise((resolve) => setTimeout(resolve, 30_000, 'blocked').unref()),
  ])
  release()
  assert.equal(first, 'committed')
  putTree(dir, { 'train.log': 'step 2, the last' })
  assert.deepEqual((await finish(sidecar)).pending, [])
  assert.equal(bucket.objects.get(`${RUN}train.log`)?.body.toString(), 'step 2, the last')
})
