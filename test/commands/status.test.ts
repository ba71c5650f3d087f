import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { pinDataset, takeLease } from '../../src/cache/leases.ts'
import { lockDataset } from '../../src/cache/locks.ts'
import { status } from '../../src/commands/status.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { acquireLock } from '../../src/fs/lock.ts'
import { context, makeCache, makeDataset } from '../cache/support.ts'
import { tempDir } from '../support/tmp.ts'

test('status shows each dataset, its state, and who holds it, and changes nothing', async (t) => {
  const cache = await makeCache(tempDir(t))
  const ready = await makeDataset(cache, 'ready', { idle: 1 })
  const half = await makeDataset(cache, 'half', { idle: 2, ready: false, settled: false, files: 2 })
  const busy = await makeDataset(cache, 'busy', { idle: 3, ready: false, files: 0 })
  const lock = await lockDataset(cache, busy.id, { wait: false })
  const lease = await takeLease(cache, { dataset: ready.id, owner: 'slurm-3' })
  const pin = await pinDataset(cache, { dataset: ready.id, owner: 'me' })
  const before = readdirSync(cache.root, { recursive: true }).sort()
  const report = await status({ cacheDir: cache.root, cacheMode: 'private', syncDirs: [] }, context())
  assert.deepEqual(readdirSync(cache.root, { recursive: true }).sort(), before)
  assert.deepEqual(
    report.datasets.map((d) => [d.id, d.state, d.files, d.bytes]),
    [
      [ready.id, 'ready', 4, 4000],
      [half.id, 'partial', 2, 2000],
      [busy.id, 'fetching', 0, 0],
    ],
  )
  assert.equal(report.datasets[0]?.source, 's3://data/ready/')
  assert.deepEqual(report.datasets[0]?.leases, [
    { id: lease.id, owner: 'slurm-3', until: lease.until, live: false },
  ])
  assert.deepEqual(report.datasets[0]?.pins, [pin.id])
  assert.equal(report.used, 6000)
  assert.ok(report.free > 0)
  await lock?.release()
})

test('status shows the lag of a sidecar, and whether it lives', async (t) => {
  const dir = tempDir(t)
  const state = path.join(dir, 'ckpt', '.longshore')
  mkdirSync(state, { recursive: true })
  const run = () =>
    status(
      { cacheDir: path.join(dir, 'none'), cacheMode: 'private', syncDirs: [path.join(dir, 'ckpt')] },
      context(),
    )
  await assert.rejects(run(), (e) => isLongshoreError(e, 'NOT_FOUND') && e.message.includes('ckpt'))
  const shown = { destination: 's3://runs/r1/', epoch: 3, committed: 2, pending: 1 }
  const file = path.join(state, 'sync-status.json')
  writeFileSync(file, JSON.stringify({ version: 1, ...shown, lastCommit: { name: 'ckpt-7', at: 5 } }))
  const lock = await acquireLock(state, 'sync', { wait: false })
  const expected = { dir: path.join(dir, 'ckpt'), ...shown, lastCommit: { name: 'ckpt-7', at: 5 } }
  assert.deepEqual((await run()).sync, [{ ...expected, running: true }])
  await lock?.release()
  assert.deepEqual((await run()).sync, [{ ...expected, running: false }])
  writeFileSync(file, '{')
  await assert.rejects(run(), (e) => isLongshoreError(e, 'LOCAL_IO') && e.path === file)
})
