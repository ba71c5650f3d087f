import assert from 'node:assert/strict'
import { readdirSync, rmdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { evictToBounds } from '../../src/cache/evict.ts'
import { readHolds } from '../../src/cache/leases.ts'
import { openCache } from '../../src/cache/open.ts'
import { preload } from '../../src/commands/preload.ts'
import { SILENT } from '../../src/progress.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { contextFor, preloadOptions } from './support.ts'

const open = (cacheDir: string) => openCache({ cacheDir, mode: 'private', env: {}, create: false })

test('a preload that fails at its end leaves no lease and no pin, and takes none that was there before', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'x/a': '1', 'x/b': '2' })
  const cacheDir = tempDir(t)
  const state = join(cacheDir, '.longshore')
  const options = preloadOptions([`${dev.root}/x/`], cacheDir, { pin: true })
  // READY can't be written: something is in the place of its folder.
  let block = (): string => ''
  const progress = { ...SILENT, phase: (name: string) => void (name === 'verify' && block()) }
  const failing = contextFor(dev, { progress: progress as typeof SILENT })
  block = () => {
    const [id = ''] = readdirSync(join(state, 'datasets'))
    const path = join(state, 'ready', id.replace('.json', ''))
    writeFileSync(path, '')
    return path
  }
  await assert.rejects(preload(options, failing))
  assert.equal((await readHolds(await open(cacheDir))).size, 0)
  for (const id of readdirSync(join(state, 'ready'))) unlinkSync(join(state, 'ready', id))

  await preload({ ...options, include: ['a'] }, contextFor(dev))
  const before = [...(await readHolds(await open(cacheDir))).values()]
  block = () => {
    const [id = ''] = readdirSync(join(state, 'ready'))
    unlinkSync(join(state, 'ready', id, readdirSync(join(state, 'ready', id))[0] ?? ''))
    rmdirSync(join(state, 'ready', id))
    writeFileSync(join(state, 'ready', id), '')
    return id
  }
  await assert.rejects(preload({ ...options, lease: 1000 }, failing))
  assert.deepEqual([...(await readHolds(await open(cacheDir))).values()], before)
})

test('a reader of a read-only cache takes a lease too, and is warned where it can take none', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'x/a': '1' })
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/x/`], cacheDir)
  const source = await preload({ ...options, lease: 0 }, contextFor(dev))
  const evict = async () => {
    const request = { bounds: { maxUsed: 0 }, watermark: { percent: 100 }, grace: 0, dryRun: true }
    return (await evictToBounds(await open(cacheDir), request)).evicted.length
  }
  const warnings: string[] = []
  // Where temporary folders are on an overlay filesystem, that is warned of too.
  const warn = (message: string) => void (/ is on /.test(message) || warnings.push(message))
  const context = contextFor(dev, { progress: { ...SILENT, warn } })
  assert.equal(await evict(), 1)
  for (const offline of [false, true]) {
    // CMD sees its own lease.
    const command = ['sh', '-c', `test -n "$(ls ${join(cacheDir, '.longshore/leases')})"`]
    const report = await preload({ ...options, readOnly: true, offline, command }, context)
    assert.equal(report.exit, 0)
    assert.equal(report.sources[0]?.path, source.sources[0]?.path)
    assert.equal((await readHolds(await open(cacheDir))).size, 0, 'a live lease ends with CMD')
  }
  await preload({ ...options, readOnly: true }, context)
  assert.equal(await evict(), 0, 'leased')
  assert.deepEqual(warnings, [])

  const leases = join(cacheDir, '.longshore/leases')
  for (const name of readdirSync(leases)) unlinkSync(join(leases, name))
  rmdirSync(leases)
  await preload({ ...options, readOnly: true }, context)
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /no lease can be taken.*can be evicted/)
})

test('a question about an offline cache leaves no lease', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'x/a': '1' })
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/x/`], cacheDir)
  await preload({ ...options, lease: 0 }, contextFor(dev))
  await preload({ ...options, offline: true, check: true }, contextFor(dev))
  assert.equal((await readHolds(await open(cacheDir))).size, 0)
})

test('a command that can not be started is named', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'x/a': '1' })
  const warnings: string[] = []
  // Where temporary folders are on an overlay filesystem, that is warned of too.
  const warn = (message: string) => void (/ is on /.test(message) || warnings.push(message))
  const options = preloadOptions([`${dev.root}/x/`], tempDir(t), { command: ['no-such-command'] })
  const report = await preload(options, contextFor(dev, { progress: { ...SILENT, warn } }))
  assert.equal(report.exit, 127)
  assert.deepEqual(warnings, ['"no-such-command": command not found'])
})
