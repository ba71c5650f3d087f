import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { folderOf, listDatasets, touchDataset } from '../../src/cache/datasets.ts'
import { type EvictRequest, evictToBounds } from '../../src/cache/evict.ts'
import { readHolds, takeLease } from '../../src/cache/leases.ts'
import { lockDataset } from '../../src/cache/locks.ts'
import { journalFolder, stagingFolder, stateFile } from '../../src/cache/paths.ts'
import { listReady, readReady } from '../../src/cache/ready.ts'
import type { Cache } from '../../src/cache/types.ts'
import { countUsage } from '../../src/cache/usage.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { tempDir } from '../support/tmp.ts'
import { age, HOUR, makeCache, makeDataset, tree } from './support.ts'

const CHILD = fileURLToPath(new URL('evict-child.ts', import.meta.url))

function evictTo(cache: Cache, maxUsed: number, more: Partial<EvictRequest> = {}) {
  const request = { bounds: { maxUsed }, watermark: { percent: 100 }, grace: 0, dryRun: false }
  return evictToBounds(cache, { ...request, ...more })
}

async function ids(cache: Cache): Promise<string[]> {
  const found: string[] = []
  for await (const dataset of listDatasets(cache)) found.push(dataset.id)
  return found.sort()
}

/** Root may remove everything: the test becomes a user who owns the folder but for what is named `foreign`. */
function becomeUser(t: TestContext, dir: string, foreign: string): void {
  for (const name of ['', ...readdirSync(dir, { recursive: true, encoding: 'utf8' })]) {
    if (!name.includes(foreign)) chownSync(path.join(dir, name), 12_345, 12_345)
  }
  process.seteuid?.(12_345)
  t.after(() => process.seteuid?.(0))
}

/** READY is never said of a version that is not whole, and what has no record has no file. */
async function assertConsistent(cache: Cache, files: number): Promise<void> {
  const known = new Set<string>()
  for await (const dataset of listDatasets(cache)) {
    known.add(dataset.path)
    if ((await listReady(cache, dataset.id)).length === 0) continue
    assert.equal(Object.keys(tree(folderOf(cache, dataset))).length, files, `${dataset.path} is READY`)
  }
  for (const file of Object.keys(tree(cache.root))) {
    assert.ok(
      [...known].some((p) => file.startsWith(`${p}/`)),
      `${file} has no record`,
    )
  }
}

test('the least recently used versions go until the watermark, with all that belongs to them', async (t) => {
  const cache = await makeCache(tempDir(t))
  const old = await makeDataset(cache, 'deep/old', { idle: 9 })
  const mid = await makeDataset(cache, 'mid', { idle: 5 })
  const young = await makeDataset(cache, 'young', { idle: 1 })
  for (const folder of [journalFolder(cache, old.id), stagingFolder(cache, old.id)]) {
    mkdirSync(folder)
    writeFileSync(path.join(folder, 'x'), 'x')
  }
  const result = await evictTo(cache, 11_999, { watermark: { percent: 60 } })
  assert.deepEqual(
    result.evicted.map((e) => e.id),
    [old.id, mid.id],
  )
  assert.deepEqual([result.before, result.after, result.withinLimits], [12_000, 4000, true])
  assert.deepEqual(await ids(cache), [young.id])
  for (const folder of ['ready', 'usage', 'journals', 'staging', 'trash']) {
    const left = readdirSync(path.join(cache.state, folder)).filter((n) => !n.startsWith(young.id))
    assert.deepEqual(left, [], folder)
  }
  assert.deepEqual(readdirSync(path.join(cache.root, 'aws/data')), [path.basename(young.path)])
  assert.deepEqual((await evictTo(cache, 4000)).evicted, [])
})

test('what is leased, pinned, being fetched or young stays, is named, and the limit is not met', async (t) => {
  const cache = await makeCache(tempDir(t))
  const leased = await makeDataset(cache, 'leased', { idle: 9 })
  const busy = await makeDataset(cache, 'busy', { idle: 8 })
  const half = await makeDataset(cache, 'half', { idle: 0, ready: false, settled: false })
  const free = await makeDataset(cache, 'free', { idle: 7 })
  await takeLease(cache, { dataset: leased.id, owner: 'slurm-5' })
  const lock = await lockDataset(cache, busy.id, { wait: false })
  const result = await evictTo(cache, 0, { grace: HOUR })
  assert.deepEqual(
    result.evicted.map((e) => e.id),
    [free.id],
  )
  assert.deepEqual(
    result.held.map((h) => [h.id, h.why]),
    [
      [leased.id, 'leased by slurm-5'],
      [busy.id, 'being fetched'],
      [half.id, 'used a moment ago'],
    ],
  )
  assert.equal(result.withinLimits, false)
  await lock?.release()
  await touchDataset(cache, half.id, new Date(Date.now() - 2 * HOUR))
  const later = await evictTo(cache, 0, { grace: HOUR })
  assert.deepEqual(
    later.evicted.map((e) => e.id),
    [busy.id, half.id],
    'half-fetched and long forgotten',
  )
})

test('only what longshore fetched goes: other files and folders are never touched', async (t) => {
  const dir = tempDir(t)
  const cache = await makeCache(dir)
  const dataset = await makeDataset(cache, 'a/b')
  const mine = path.join(cache.root, 'aws/data/mine.txt')
  const lookalike = path.join(cache.root, 'aws/data/other@0123456789ab')
  writeFileSync(mine, 'mine')
  mkdirSync(lookalike)
  writeFileSync(path.join(lookalike, 'x'), 'x')
  const outside = path.join(dir, 'outside')
  mkdirSync(outside)
  writeFileSync(path.join(outside, 'precious'), 'x')
  symlinkSync(outside, path.join(folderOf(cache, dataset), 'link'))
  const result = await evictTo(cache, 0)
  assert.equal(result.evicted.length, 1)
  assert.ok(existsSync(mine) && existsSync(path.join(lookalike, 'x')))
  assert.ok(!existsSync(path.join(cache.root, 'aws/data/a')))
  assert.ok(existsSync(path.join(outside, 'precious')), 'a symlink is not followed')
})

test('a dry run names the same datasets and changes nothing at all', async (t) => {
  const cache = await makeCache(tempDir(t))
  const v1 = await makeDataset(cache, 'a', { version: '1', idle: 9 })
  await makeDataset(cache, 'a', {
    version: '2',
    idle: 4,
    files: 0,
    linked: [{ from: v1.id, files: 4, bytes: 4000 }],
  })
  await makeDataset(cache, 'half', { idle: 6, ready: false, settled: false })
  const trash = path.join(cache.state, 'trash', '100-0123456789ab')
  mkdirSync(trash)
  const before = readdirSync(cache.root, { recursive: true }).sort()
  const plan = await evictTo(cache, 4000, { dryRun: true })
  assert.deepEqual(
    readdirSync(cache.root, { recursive: true })
      .filter((n) => !String(n).includes('locks'))
      .sort(),
    before.filter((n) => !String(n).includes('locks')),
  )
  assert.equal(plan.before, 8100)
  assert.deepEqual(
    plan.evicted.map((e) => e.path),
    [v1.path, ...(await evictTo(cache, 4000)).evicted.slice(1).map((e) => e.path)],
  )
})

test('a garbled record is named, and nothing is deleted on its account', async (t) => {
  const cache = await makeCache(tempDir(t))
  const dataset = await makeDataset(cache, 'a')
  const record = stateFile(cache, 'datasets', dataset.id)
  const warned: (string | undefined)[] = []
  cache.warn = (_, about) => warned.push(about?.path)
  for (const text of ['{"id":', '[]', JSON.stringify({ ...dataset, path: '../../etc' })]) {
    writeFileSync(record, text)
    assert.deepEqual((await evictTo(cache, 0)).evicted, [])
  }
  assert.equal(Object.keys(tree(folderOf(cache, dataset))).length, 4)
  assert.equal(new Set(warned).size, 1)
  assert.equal(warned[0], record)
})

test('a file that another version shares stays with that one', async (t) => {
  const cache = await makeCache(tempDir(t))
  const v1 = await makeDataset(cache, 'a', { version: '1', idle: 9 })
  const v2 = await makeDataset(cache, 'a', {
    version: '2',
    idle: 1,
    files: 0,
    linked: [{ from: v1.id, files: 1, bytes: 1000 }],
  })
  linkSync(path.join(folderOf(cache, v1), 'f0'), path.join(folderOf(cache, v2), 'f0'))
  const result = await evictTo(cache, 1000)
  assert.deepEqual(
    result.evicted.map((e) => e.id),
    [v1.id],
  )
  assert.deepEqual(tree(folderOf(cache, v2)), { f0: 1000 })
  assert.equal((await countUsage(cache)).used, 1000)
})

test('two evictions at once take each dataset once', async (t) => {
  const cache = await makeCache(tempDir(t))
  for (let i = 0; i < 8; i++) await makeDataset(cache, `d${i}`, { idle: 10 - i })
  const both = await Promise.all([evictTo(cache, 8000), evictTo(cache, 8000)])
  const gone = both.flatMap((r) => r.evicted.map((e) => e.id))
  assert.equal(new Set(gone).size, gone.length)
  assert.ok((await countUsage(cache)).used <= 8000)
  await assertConsistent(cache, 4)
})

test('a lease taken while READY is being withdrawn is seen by one side or the other', async (t) => {
  const cache = await makeCache(tempDir(t))
  for (let i = 0; i < 25; i++) {
    const dataset = await makeDataset(cache, 'a')
    const job = (async () => {
      for (let turns = 0; turns < i % 12; turns++) await new Promise((r) => setImmediate(r))
      const lease = await takeLease(cache, { dataset: dataset.id, owner: 'job', live: true })
      return { lease, ready: await readReady(cache, dataset.id, 'all') }
    })()
    const [{ lease, ready }] = await Promise.all([job, evictTo(cache, 0)])
    if (ready) assert.equal(Object.keys(tree(folderOf(cache, dataset))).length, 4, 'leased and READY: whole')
    await lease.release()
    await evictTo(cache, 0)
  }
})

test('killed at any moment, an eviction leaves nothing half, and the next one finishes', {
  timeout: 100_000,
}, async (t) => {
  const cache = await makeCache(tempDir(t))
  const files = 100
  for (const most of [10, 40, 80, 120, 180, 250]) {
    for (let i = 0; i < 2; i++) await makeDataset(cache, `r${most}-${i}`, { files, size: 10 })
    const child = spawn(process.execPath, ['--import', 'tsx', CHILD, cache.root], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    await sleep(Math.random() * most)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await assertConsistent(cache, files)
  }
  const result = await evictTo(cache, 0)
  assert.equal(result.withinLimits, true)
  assert.equal(result.after, 0)
  assert.deepEqual(readdirSync(cache.root), ['.longshore'])
  for (const folder of ['datasets', 'ready', 'usage', 'trash', 'staging', 'reservations']) {
    assert.deepEqual(readdirSync(path.join(cache.state, folder)), [], folder)
  }
})

test('what root counts and hands over stays readable for the user of the cache', async (t) => {
  if (process.getuid?.() !== 0) return t.skip('not root')
  const cache = await makeCache(tempDir(t))
  const dataset = await makeDataset(cache, 'a', { settled: false })
  chownSync(cache.state, 12_345, 12_345)
  await evictTo(cache, 1e9)
  assert.equal(statSync(stateFile(cache, 'usage', dataset.id)).uid, 12_345)
})

test('sockets and half-written records that killed processes left are swept, those of the living stay', async (t) => {
  const cache = await makeCache(tempDir(t))
  const lease = await takeLease(cache, { dataset: '0123456789abcdef', owner: 'x', live: true })
  const dead = [
    ['locks', 'reservation-0123456789abcdef.1'],
    ['locks', 'scratch-0123456789ab.1'],
    ['leases', 'lease-0123456789abcdef-0123456789ab.1'],
    ['locks', 'dataset-0123456789abcdef.0123456789ab.new'],
    ['usage', '.0123456789abcdef.json.0123456789ab.tmp'],
    ['reservations', '.0123456789abcdef.tmp'],
  ].map(([folder = '', name = '']) => path.join(cache.state, folder, name))
  for (const file of dead) {
    // As a kill leaves it: nobody listens.
    writeFileSync(file, '')
    age(file, 2)
  }
  await evictTo(cache, 0)
  assert.deepEqual(
    dead.filter((file) => existsSync(file)),
    [],
  )
  assert.equal((await readHolds(cache)).size, 1)
  await lease.release()
})

test('what another user left among the data stays in the trash by name, and keeps nothing else from going', async (t) => {
  const dir = tempDir(t)
  const cache = await makeCache(dir)
  const odd = await makeDataset(cache, 'odd', { idle: 9 })
  await makeDataset(cache, 'next', { idle: 5 })
  const foreign = path.join(folderOf(cache, odd), '__pycache__')
  mkdirSync(foreign)
  writeFileSync(path.join(foreign, 'x'), 'x')
  if (process.getuid?.() === 0) becomeUser(t, dir, '__pycache__')
  else chmodSync(foreign, 0o500)
  const warned: string[] = []
  cache.warn = (message) => warned.push(message)
  for (const evicted of [2, 0]) {
    const result = await evictTo(cache, 0)
    assert.equal(result.evicted.length, evicted)
    assert.match(warned.pop() ?? '', /__pycache__\/x: E/)
  }
  assert.deepEqual(await ids(cache), [])
  const [left = ''] = readdirSync(path.join(cache.state, 'trash'))
  assert.match(left, /^1-/, 'it counts as what is left of it')
  assert.deepEqual(Object.keys(tree(path.join(cache.state, 'trash', left))), ['__pycache__/x'])
  process.seteuid?.(process.getuid?.() ?? 0)
  if (process.getuid?.() !== 0) chmodSync(path.join(cache.state, 'trash', left, '__pycache__'), 0o700)
})

test('a dataset that can not be taken away is an error in the end; the others go first', async (t) => {
  const dir = tempDir(t)
  const cache = await makeCache(dir)
  await makeDataset(cache, 'stuck/odd', { idle: 9 })
  const next = await makeDataset(cache, 'next', { idle: 5 })
  const parent = path.join(cache.root, 'aws/data/stuck')
  chmodSync(parent, 0o555)
  if (process.getuid?.() === 0) becomeUser(t, dir, 'stuck')
  await assert.rejects(evictTo(cache, 0), (e) => isLongshoreError(e, 'LOCAL_IO') && /stuck/.test(e.message))
  assert.equal(existsSync(folderOf(cache, next)), false)
  process.seteuid?.(process.getuid?.() ?? 0)
  chmodSync(parent, 0o755)
})
