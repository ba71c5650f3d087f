import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { listDatasets } from '../../src/cache/datasets.ts'
import { openCache } from '../../src/cache/open.ts'
import { journalFolder } from '../../src/cache/paths.ts'
import { countUsage } from '../../src/cache/usage.ts'
import { evict } from '../../src/commands/evict.ts'
import { preload } from '../../src/commands/preload.ts'
import { mayLink } from '../../src/preload/can-link.ts'
import { inDoubt } from '../../src/preload/trust.ts'
import { SILENT } from '../../src/progress.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { contextFor, expectedTree, MIB, noise, packedObjects, preloadOptions, treeOf } from './support.ts'

const open = (cacheDir: string) => openCache({ cacheDir, mode: 'private', env: {}, create: false })

test('room is not made at the cost of the version whose files are to be linked', async (t) => {
  const dev = await withDevServer(t)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/v/`], cacheDir, { lease: 0 })
  dev.seed({ 'v/a': noise('a', MIB), 'other/o': noise('o', 2 * MIB) })
  const before = await preload(options, contextFor(dev))
  await sleep(20)
  await preload({ ...options, sources: [`${dev.root}/other/`] }, contextFor(dev))
  dev.seed({ 'v/b': noise('b', MIB) })
  const limit = { maxSize: { bytes: 3.5 * MIB }, makeRoom: true }
  const after = await preload({ ...options, ...limit }, contextFor(dev))
  assert.deepEqual(after.sources[0]?.linked, { files: 1, bytes: MIB })
  assert.equal(statSync(join(before.sources[0]?.path ?? '', 'a')).nlink, 2)
  const usage = await countUsage(await open(cacheDir))
  assert.equal(usage.datasets.length, 2)
  assert.ok(usage.used <= limit.maxSize.bytes)
})

test('a version that stands in the way of its successor goes, when room is to be made and nothing else is left', async (t) => {
  const dev = await withDevServer(t)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/v/`], cacheDir, { lease: 0 })
  dev.seed({ 'v/a': noise('a', MIB), 'v/b': noise('b', 2 * MIB) })
  await preload(options, contextFor(dev))
  const changed = noise('B', 2 * MIB)
  dev.seed({ 'v/b': changed })
  const limit = { maxSize: { bytes: 3.5 * MIB }, makeRoom: true }
  const after = await preload({ ...options, ...limit }, contextFor(dev))
  const expected = expectedTree({ 'v/a': noise('a', MIB), 'v/b': changed }, 'v/')
  assert.deepEqual(treeOf(after.sources[0]?.path ?? ''), expected)
  assert.ok((await countUsage(await open(cacheDir))).used <= limit.maxSize.bytes)
})

test('an evict beside a preload leaves the version it links from, and takes it afterwards', async (t) => {
  const dev = await withDevServer(t)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/v/`], cacheDir, { lease: 0 })
  dev.seed({ 'v/a': 'aaa' })
  await preload(options, contextFor(dev))
  dev.seed({ 'v/b': 'bbb' })
  const evictAll = () =>
    evict({ cacheDir, cacheMode: 'private', maxSize: { bytes: 0 }, grace: 0 }, contextFor(dev))
  let during: ReturnType<typeof evictAll> | undefined
  // Slow enough that the whole evict lies within the fetch.
  dev.server.faults.add({ match: { operation: 'GetObject', key: /v\/b/ }, do: { kind: 'delay', ms: 1500 } })
  const phase = (name: string) => {
    if (name === 'fetch') during = evictAll()
  }
  const after = await preload(options, contextFor(dev, { progress: { ...SILENT, phase } }))
  assert.equal(after.sources[0]?.linked.files, 1)
  assert.deepEqual((await during)?.evicted, [])
  assert.equal((await evictAll()).evicted.length, 2)
})

test('files of an older packed version whose fetch a power cut ended are not linked by their size', async (t) => {
  const dev = await withDevServer(t)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/p/`], cacheDir)
  dev.seed(packedObjects([10_000, 20_000], { prefix: 'p/' }))
  const before = await preload(options, contextFor(dev))
  const torn = join(before.sources[0]?.path ?? '', 'train-000001.tar')
  chmodSync(torn, 0o600)
  writeFileSync(torn, Buffer.alloc(20_000))
  const cache = await open(cacheDir)
  for await (const { id } of listDatasets(cache)) {
    writeFileSync(join(journalFolder(cache, id), 'boot'), '00000000-0000-0000-0000-000000000000')
  }
  const grown = packedObjects([10_000, 20_000, 30_000], { prefix: 'p/' })
  dev.seed(grown)
  const after = await preload(options, contextFor(dev))
  assert.deepEqual(treeOf(after.sources[0]?.path ?? ''), expectedTree(grown, 'p/'))
})

test('a boot marker that can not be read is one of another boot', async (t) => {
  const dir = tempDir(t)
  assert.equal(await inDoubt(dir, 'one'), false)
  writeFileSync(join(dir, 'boot'), 'one')
  assert.deepEqual(
    [await inDoubt(dir, 'one'), await inDoubt(dir, 'two'), await inDoubt(dir, '')],
    [false, true, true],
  )
  unlinkSync(join(dir, 'boot'))
  // As unreadable as another user's file, for root too.
  mkdirSync(join(dir, 'boot'))
  assert.equal(await inDoubt(dir, 'one'), true)
})

test('the listing of a shared cache can be read by whoever can read its data', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'v/a': 'aaa' })
  const cacheDir = tempDir(t)
  await preload(preloadOptions([`${dev.root}/v/`], cacheDir, { cacheMode: 'shared' }), contextFor(dev))
  const journals = join(cacheDir, '.longshore/journals')
  const [id = ''] = readdirSync(journals)
  assert.equal(statSync(join(journals, id, 'listing')).mode & 0o777, 0o644)
})

test("room is planned for what can't be linked: another user's file, or one with too many names", () => {
  const file = { uid: 7, nlink: 1 }
  assert.equal(mayLink(file, { uid: 7, owned: true }), true)
  assert.equal(mayLink(file, { uid: 8, owned: true }), false)
  assert.equal(mayLink(file, { uid: 8, owned: false }), true)
  assert.equal(mayLink(file, { uid: 0, owned: true }), true)
  assert.equal(mayLink({ ...file, nlink: 65_000 }, { uid: 7, owned: true }), false)
})
