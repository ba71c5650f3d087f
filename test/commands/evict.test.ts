import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { folderOf } from '../../src/cache/datasets.ts'
import { takeLease } from '../../src/cache/leases.ts'
import { evict } from '../../src/commands/evict.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { freeSpace } from '../../src/fs/space.ts'
import { SILENT } from '../../src/progress.ts'
import { context, HOUR, makeCache, makeDataset } from '../cache/support.ts'
import { tempDir } from '../support/tmp.ts'

const options = (cacheDir: string) => ({ cacheDir, cacheMode: 'private' as const, grace: 0 })

test('evict brings the cache under its limit and says what went', async (t) => {
  const cache = await makeCache(tempDir(t))
  const old = await makeDataset(cache, 'old', { idle: 3 })
  const young = await makeDataset(cache, 'young', { idle: 1 })
  const items: unknown[] = []
  const progress = { ...SILENT, item: (kind: string) => items.push(kind) }
  const run = (dryRun: boolean) =>
    evict({ ...options(cache.root), maxSize: { bytes: 5000 } }, context({ progress, dryRun }))
  const plan = await run(true)
  assert.ok(existsSync(folderOf(cache, old)))
  const report = await run(false)
  assert.deepEqual([report.before, report.after, report.exit, report.withinLimits], [8000, 4000, 0, true])
  assert.deepEqual(
    report.evicted.map((e) => e.id),
    [old.id],
  )
  assert.deepEqual(plan.evicted, report.evicted)
  assert.deepEqual(items, ['evicted', 'evicted'])
  assert.ok(!existsSync(folderOf(cache, old)) && existsSync(folderOf(cache, young)))
})

test('a limit that cannot be met is exit 5, with what stands in the way', async (t) => {
  const cache = await makeCache(tempDir(t))
  const { id } = await makeDataset(cache, 'a')
  await takeLease(cache, { dataset: id, owner: 'slurm-9' })
  const report = await evict({ ...options(cache.root), maxSize: { bytes: 0 } }, context())
  assert.deepEqual([report.exit, report.withinLimits], [5, false])
  assert.deepEqual(
    report.held.map((h) => [h.id, h.why]),
    [[id, 'leased by slurm-9']],
  )
})

test('--max-age alone evicts by age, and no limit at all means a tenth of the disk free', async (t) => {
  const cache = await makeCache(tempDir(t))
  const old = await makeDataset(cache, 'old', { idle: 50 })
  await makeDataset(cache, 'young', { idle: 1 })
  const report = await evict({ ...options(cache.root), maxAge: 24 * HOUR }, context())
  assert.deepEqual(
    report.evicted.map((e) => e.id),
    [old.id],
  )
  const full = await evict({ ...options(cache.root), minFree: { percent: 100 } }, context())
  assert.equal(full.exit, 5)
  const space = await freeSpace(cache.root)
  const plain = await evict(options(cache.root), context({ dryRun: true }))
  assert.equal(plain.withinLimits, space.bytes >= space.total / 10)
})

test('where nothing was cached yet there is nothing to do, but a folder of other things is a mistake', async (t) => {
  const dir = tempDir(t)
  const warned: string[] = []
  const progress = { ...SILENT, warn: (message: string) => warned.push(message) }
  for (const name of ['missing', 'empty']) {
    if (name === 'empty') mkdirSync(path.join(dir, name))
    const report = await evict(options(path.join(dir, name)), context({ progress }))
    assert.deepEqual([report.exit, report.before], [0, 0])
  }
  assert.equal(warned.length, 2)
  assert.ok(!existsSync(path.join(dir, 'missing')))
  writeFileSync(path.join(dir, 'x'), '')
  await assert.rejects(
    evict(options(dir), context()),
    (e) => isLongshoreError(e, 'NOT_FOUND') && e.path === dir,
  )
})

test('limits out of range are usage errors that name the flag', async (t) => {
  const cacheDir = tempDir(t)
  for (const [flag, wrong] of [
    ['--min-free', { minFree: { percent: 101 } }],
    ['--max-size', { maxSize: { bytes: -1 } }],
    ['--low-watermark', { lowWatermark: { percent: Number.NaN } }],
    ['--max-age', { maxAge: -1 }],
  ] as const) {
    await assert.rejects(evict({ ...options(cacheDir), ...wrong }, context()), (e) => {
      return isLongshoreError(e, 'USAGE') && e.message.startsWith(flag)
    })
  }
})
