import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, linkSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { folderOf } from '../../src/cache/datasets.ts'
import { takeLease } from '../../src/cache/leases.ts'
import { lockDataset } from '../../src/cache/locks.ts'
import { stagingFolder } from '../../src/cache/paths.ts'
import { reserve } from '../../src/cache/reserve.ts'
import { openScratch } from '../../src/cache/scratch.ts'
import type { Cache } from '../../src/cache/types.ts'
import { countUsage } from '../../src/cache/usage.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { freeSpace } from '../../src/fs/space.ts'
import { tempDir } from '../support/tmp.ts'
import { makeCache, makeDataset } from './support.ts'

const used = async (cache: Cache): Promise<number> => (await countUsage(cache)).used

test('what is promised counts from before the first byte until it is committed, and then the data does', async (t) => {
  const cache = await makeCache(tempDir(t))
  const { id } = await makeDataset(cache, 'a', { files: 0, ready: false, settled: false })
  const lock = await lockDataset(cache, id, { wait: false })
  const reservation = await reserve(cache, { dataset: id, bytes: 5000, files: 5, makeRoom: false })
  assert.equal(await used(cache), 5000)
  reservation.wrote({ bytes: 2000, files: 2 })
  assert.equal(await used(cache), 5000)
  await reservation.commit({ added: { bytes: 4000, files: 4 }, linked: [] })
  await lock?.release()
  const usage = await countUsage(cache)
  assert.equal(usage.used, 4000)
  assert.deepEqual(usage.outstanding, { bytes: 0, files: 0 })
  assert.deepEqual(readdirSync(path.join(cache.state, 'reservations')), [])
})

test('two fetches are never promised the same space', async (t) => {
  const cache = await makeCache(tempDir(t))
  const a = await makeDataset(cache, 'a', { files: 0 })
  const b = await makeDataset(cache, 'b', { files: 0 })
  const request = { bytes: 600, files: 1, maxSize: { bytes: 1000 }, makeRoom: false }
  const both = await Promise.allSettled([
    reserve(cache, { ...request, dataset: a.id }),
    reserve(cache, { ...request, dataset: b.id }),
  ])
  assert.equal(both.filter((r) => r.status === 'fulfilled').length, 1)
  const refused = both.find((r) => r.status === 'rejected')
  assert.ok(isLongshoreError(refused?.reason, 'OVER_LIMIT'))
  assert.equal(refused.reason.exit, 5)
})

test('a promise dies with its process', async (t) => {
  const cache = await makeCache(tempDir(t))
  const { id } = await makeDataset(cache, 'a', { files: 0 })
  const script = fileURLToPath(new URL('reserve-child.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, cache.root, id, '7000'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  assert.equal(await used(cache), 7000)
  child.kill('SIGKILL')
  await once(child, 'exit')
  // What it had written by then is found by looking.
  mkdirSync(stagingFolder(cache, id))
  writeFileSync(path.join(stagingFolder(cache, id), 'half'), Buffer.alloc(300))
  assert.equal(await used(cache), 300)
  assert.equal(await used(cache), 300)
  const other = await makeDataset(cache, 'b', { files: 0 })
  await (await reserve(cache, { dataset: other.id, bytes: 1, files: 1, makeRoom: false })).release()
  assert.deepEqual(readdirSync(path.join(cache.state, 'reservations')), [])
})

test('more than the disk has is NO_SPACE, a limit is OVER_LIMIT, both before anything is promised', async (t) => {
  const cache = await makeCache(tempDir(t))
  const { id } = await makeDataset(cache, 'a', { files: 2, size: 500 })
  const space = await freeSpace(cache.root)
  const attempt = (more: object) =>
    reserve(cache, { dataset: id, bytes: 100, files: 1, makeRoom: false, ...more })
  const refusals: [string, object][] = [
    ['NO_SPACE', { bytes: space.total * 2 }],
    ['NO_SPACE', { files: 1e12 }],
    ['OVER_LIMIT', { maxSize: { bytes: 1099 } }],
    ['OVER_LIMIT', { minFree: { percent: 100 } }],
  ]
  for (const [code, more] of refusals) {
    await assert.rejects(
      attempt(more),
      (e) => isLongshoreError(e) && e.code === code && e.path === cache.root,
    )
  }
  assert.deepEqual(readdirSync(path.join(cache.state, 'reservations')), [])
  await (await attempt({ maxSize: { bytes: 1100 } })).release()
})

test('room is made of what nobody holds, and never in vain', async (t) => {
  const cache = await makeCache(tempDir(t))
  const old = await makeDataset(cache, 'old', { idle: 9 })
  const leased = await makeDataset(cache, 'leased', { idle: 20 })
  const young = await makeDataset(cache, 'young', { idle: 1 })
  const mine = await makeDataset(cache, 'mine', { idle: 99, files: 0, ready: false })
  await takeLease(cache, { dataset: leased.id, owner: 'x' })
  const lock = await lockDataset(cache, mine.id, { wait: false })
  const gone: string[] = []
  const attempt = (bytes: number) =>
    reserve(cache, {
      dataset: mine.id,
      bytes,
      files: 1,
      maxSize: { bytes: 13_000 },
      makeRoom: true,
      onEvicted: (d) => gone.push(d.id),
    })
  await assert.rejects(attempt(9001), (e) => isLongshoreError(e, 'OVER_LIMIT'))
  assert.deepEqual(gone, [], 'evicting both would not have been enough')
  const reservation = await attempt(5000)
  assert.deepEqual(gone, [old.id])
  assert.ok(!existsSync(folderOf(cache, old)))
  assert.ok(existsSync(folderOf(cache, young)) && existsSync(folderOf(cache, leased)))
  await reservation.release()
  await lock?.release()
})

test('hard links count once, and go on counting when the version they came from is gone', async (t) => {
  const cache = await makeCache(tempDir(t))
  const v1 = await makeDataset(cache, 'a', { version: '1', files: 2, size: 1000, idle: 5 })
  const v2 = await makeDataset(cache, 'a', { version: '2', files: 0, ready: false })
  const lock = await lockDataset(cache, v2.id, { wait: false })
  const reservation = await reserve(cache, { dataset: v2.id, bytes: 100, files: 1, makeRoom: false })
  linkSync(path.join(folderOf(cache, v1), 'f0'), path.join(folderOf(cache, v2), 'f0'))
  writeFileSync(path.join(folderOf(cache, v2), 'new'), Buffer.alloc(100))
  await reservation.commit({
    added: { files: 1, bytes: 100 },
    linked: [{ from: v1.id, files: 1, bytes: 1000 }],
  })
  await lock?.release()
  assert.equal(await used(cache), 2100)
  const { evictToBounds } = await import('../../src/cache/evict.ts')
  const request = { watermark: { percent: 100 }, grace: 0, dryRun: false }
  const result = await evictToBounds(cache, { ...request, bounds: { maxUsed: 1500 } })
  assert.deepEqual(
    result.evicted.map((e) => e.id),
    [v1.id],
  )
  assert.equal(result.after, 1100)
  assert.equal(await used(cache), 1100)
})

test('an uncommitted dataset is looked at once: links to another version are not counted twice over', async (t) => {
  const cache = await makeCache(tempDir(t))
  const v1 = await makeDataset(cache, 'a', { version: '1', files: 2, size: 1000 })
  const v2 = await makeDataset(cache, 'a', { version: '2', files: 0, ready: false, settled: false })
  linkSync(path.join(folderOf(cache, v1), 'f0'), path.join(folderOf(cache, v2), 'f0'))
  assert.equal(await used(cache), 2500)
  writeFileSync(path.join(folderOf(cache, v2), 'more'), 'not seen: its count is settled')
  assert.equal(await used(cache), 2500)
})

test('temporary files of no dataset count, and those of dead processes go', async (t) => {
  const cache = await makeCache(tempDir(t))
  const scratch = await openScratch(cache)
  writeFileSync(path.join(scratch.path, 'x'), Buffer.alloc(700))
  assert.equal(await used(cache), 700)
  const dead = path.join(cache.state, 'staging', 'scratch-0123456789ab')
  mkdirSync(dead)
  const second = await openScratch(cache)
  assert.ok(existsSync(scratch.path) && !existsSync(dead))
  await second.close()
  await scratch.close()
  await scratch.close()
  assert.deepEqual(readdirSync(path.join(cache.state, 'staging')), [])
  assert.deepEqual(
    readdirSync(path.join(cache.state, 'locks')).filter((n) => n.startsWith('scratch')),
    [],
  )
})
