import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  dropEndedLeases,
  leaseOwner,
  pinDataset,
  readHolds,
  releaseHolds,
  takeLease,
  whyHeld,
} from '../../src/cache/leases.ts'
import { datasetId } from '../../src/cache/paths.ts'
import { tempDir } from '../support/tmp.ts'
import { identity, makeCache } from './support.ts'

const dataset = datasetId(identity('a'))

test('a lease holds until its end, and a renewal never shortens it', async (t) => {
  const cache = await makeCache(tempDir(t))
  const first = await takeLease(cache, { dataset, owner: 'slurm-1', ms: 10_000 })
  const shorter = await takeLease(cache, { dataset, owner: 'slurm-1', ms: 10 })
  assert.equal(shorter.id, first.id)
  const longer = await takeLease(cache, { dataset, owner: 'slurm-1', ms: 20_000 })
  assert.ok(longer.until > first.until)
  const now = Date.now()
  assert.equal((await readHolds(cache)).get(dataset)?.leases.length, 1, 'one lease an owner')
  assert.match(whyHeld((await readHolds(cache)).get(dataset)) ?? '', /leased by slurm-1/)
  assert.equal((await readHolds(cache, { now: now + 15_000 })).get(dataset)?.leases.length, 1)
  assert.equal(whyHeld((await readHolds(cache, { now: now + 25_000 })).get(dataset)), undefined)
  await longer.release()
  await longer.release()
  assert.equal((await readHolds(cache)).size, 0)
})

test('an ended lease is dropped, a running one and a pin are not', async (t) => {
  const cache = await makeCache(tempDir(t))
  await takeLease(cache, { dataset, owner: 'gone', ms: 1000 })
  await takeLease(cache, { dataset, owner: 'here', ms: 100_000 })
  await pinDataset(cache, { dataset, owner: 'me' })
  await pinDataset(cache, { dataset, owner: 'me' })
  await dropEndedLeases(cache, Date.now() + 50_000)
  const holds = (await readHolds(cache)).get(dataset)
  assert.deepEqual(
    holds?.leases.map((l) => l.owner),
    ['here'],
  )
  assert.deepEqual(
    holds?.pins.map((p) => p.owner),
    ['me'],
  )
})

test('a live lease ends with its process, however that dies', async (t) => {
  const cache = await makeCache(tempDir(t))
  const script = fileURLToPath(new URL('lease-child.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, cache.root, dataset], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  assert.equal((await readHolds(cache)).get(dataset)?.leases[0]?.live, true)
  child.kill('SIGKILL')
  await once(child, 'exit')
  assert.equal((await readHolds(cache)).get(dataset), undefined)
  await dropEndedLeases(cache)
  assert.deepEqual(readdirSync(path.join(cache.state, 'leases')), [])
})

test('a live lease leaves nothing behind when it is released', async (t) => {
  const cache = await makeCache(tempDir(t))
  const lease = await takeLease(cache, { dataset, owner: 'x', live: true })
  const other = await takeLease(cache, { dataset, owner: 'x', live: true })
  assert.notEqual(lease.id, other.id, 'two jobs, two leases')
  await lease.release()
  await other.release()
  assert.deepEqual(readdirSync(path.join(cache.state, 'leases')), [])
})

test('leases and pins are released by id, by owner and by dataset', async (t) => {
  const cache = await makeCache(tempDir(t))
  const b = datasetId(identity('b'))
  const lease = await takeLease(cache, { dataset, owner: 'x' })
  const pin = await pinDataset(cache, { dataset, owner: 'y' })
  await takeLease(cache, { dataset: b, owner: 'y' })
  assert.deepEqual(await releaseHolds(cache, { id: lease.id }), [{ id: lease.id, kind: 'lease', dataset }])
  assert.deepEqual(await releaseHolds(cache, { dataset }), [{ id: pin.id, kind: 'pin', dataset }])
  assert.equal((await releaseHolds(cache, { owner: 'y' })).length, 1)
  assert.deepEqual(await releaseHolds(cache, { owner: 'y' }), [])
})

test('a garbled lease or pin is named, and goes on holding its dataset', async (t) => {
  const cache = await makeCache(tempDir(t))
  const warned: (string | undefined)[] = []
  cache.warn = (_, about) => warned.push(about?.path)
  const lease = await takeLease(cache, { dataset, owner: 'x' })
  const file = path.join(cache.state, 'leases', `${lease.id}.json`)
  writeFileSync(file, '{"format":"longsh')
  assert.match(whyHeld((await readHolds(cache)).get(dataset)) ?? '', /garbled/)
  assert.deepEqual(warned, [file])
  assert.equal((await releaseHolds(cache, { dataset })).length, 1)
  assert.equal((await readHolds(cache)).size, 0)
})

test('a lease belongs to the job that the environment names', () => {
  assert.equal(leaseOwner({ SLURM_JOB_ID: '77', POD_UID: 'p' }), 'slurm-77')
  assert.equal(leaseOwner({ POD_UID: 'p' }), 'pod-p')
  assert.equal(leaseOwner({ AWS_BATCH_JOB_ID: 'b' }), 'batch-b')
  assert.match(leaseOwner({}), /^uid-\d+$/)
})

test('whatever lies among the leases of a shared cache holds up nobody, and holds its dataset', {
  timeout: 20_000,
}, async (t) => {
  const cache = await makeCache(tempDir(t))
  const id = (n: number) => path.join(cache.state, 'leases', `${dataset}-${String(n).repeat(12)}.json`)
  execFileSync('mkfifo', [id(1)])
  symlinkSync('/dev/zero', id(2))
  writeFileSync(id(3), '')
  truncateSync(id(3), 1e12)
  mkdirSync(id(4))
  const holds = (await readHolds(cache)).get(dataset)
  assert.equal(holds?.garbled.length, 4)
})
