import assert from 'node:assert/strict'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { evict } from '../../src/commands/evict.ts'
import { preload } from '../../src/commands/preload.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { openLargeFile } from '../../src/fetch/large-file.ts'
import { SILENT } from '../../src/progress.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'
import { contextFor, expectedTree, MIB, noise, packedObjects, preloadOptions, treeOf } from './support.ts'

const denied = { do: { kind: 'status', status: 403, code: 'AccessDenied' } } as const

test('ranges of this boot are trusted; after a reboot only those whose bytes are really there', async (t) => {
  const dir = tempDir(t)
  const bytes = noise('x', 25)
  const entry = { name: 'k', path: 'k', size: 25, etag: '"e"' }
  const options = { url: 's3://b/', staging: dir, journals: dir, part: 10 }
  const range = (offset: number, length: number) => ({
    ...{ offset, length, check: 'size' },
    crc32: crc32(bytes.subarray(offset, offset + length)),
  })
  const first = await openLargeFile(entry, { ...options, boot: 'one' })
  const file = await open(first.temp, 'r+')
  await file.write(bytes.subarray(0, 10), 0, 10, 0)
  await file.close()
  first.add(range(0, 10))
  // Journaled, but its bytes never reached the disk.
  first.add(range(10, 10))
  first.close()

  const same = await openLargeFile(entry, { ...options, boot: 'one' })
  assert.deepEqual(same.todo(), [{ offset: 20, length: 5 }])
  same.close()
  const other = await openLargeFile(entry, { ...options, boot: 'two' })
  assert.deepEqual(
    other.todo().map((r) => r.offset),
    [10, 20],
  )
  other.close()
  const unknown = await openLargeFile(entry, { ...options, boot: '' })
  assert.deepEqual(
    unknown.kept.map((r) => r.offset),
    [0],
  )
  unknown.close()
  const changed = await openLargeFile({ ...entry, etag: '"f"' }, { ...options, boot: 'two' })
  assert.equal(changed.todo().length, 3)
  await changed.discard()
  assert.deepEqual(readdirSync(dir), [])
})

test('small files that a reboot may have emptied are fetched again, not believed', async (t) => {
  const dev = await withDevServer(t)
  const plain = {
    's/a': noise('a', 100),
    's/b': noise('b', 200),
    's/large': noise('l', 9 * MIB),
    's/z': noise('z', 3),
  }
  const packed = packedObjects([500, 600])
  dev.seed({ ...plain, ...packed })
  for (const [prefix, objects, last, victim] of [
    ['s/', plain, 's/z', 'a'],
    ['packed/', packed, 'packed/train-000001.tar', 'train-000000.tar'],
  ] as const) {
    const cacheDir = tempDir(t)
    const options = preloadOptions([`${dev.root}/${prefix}`], cacheDir)
    const remove = dev.server.faults.add({ match: { key: last, operation: 'GetObject' }, ...denied })
    const context = () => contextFor(dev, { engine: { lane: LANE, concurrency: 1, memory: 32 * MIB } })
    await assert.rejects(preload(options, context()), (e) => isLongshoreError(e, 'ACCESS_DENIED'))
    remove()
    const journals = join(cacheDir, '.longshore/journals')
    const [id] = readdirSync(journals)
    const marker = join(journals, id ?? '', 'boot')
    assert.ok(readFileSync(marker, 'utf8').length > 0)
    writeFileSync(marker, 'another boot')
    const found = readdirSync(cacheDir, { recursive: true, encoding: 'utf8' }).find((n) =>
      n.endsWith(`/${victim}`),
    )
    const path = join(cacheDir, found ?? '')
    const size = readFileSync(path).length
    chmodSync(path, 0o600)
    writeFileSync(path, Buffer.alloc(size))
    const report = await preload(options, context())
    assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(objects, prefix))
    assert.equal(existsSync(marker), false)
  }
})

test('a failed fetch keeps what is finished and the ranges of what is not; the next run asks for the rest only', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts the bytes sent' })
  const objects = { 'p/a': noise('a', 1000), 'p/large': noise('l', 41 * MIB) }
  dev.seed(objects)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/p/`], cacheDir)
  const remove = dev.server.faults.add({
    match: { key: 'p/large', operation: 'GetObject', skip: 3 },
    // So late that what came before it has been written, on a busy machine too.
    do: [{ kind: 'delay', ms: 400 }, denied.do],
  })
  const context = () => contextFor(dev, { engine: { lane: LANE, concurrency: 1, memory: 32 * MIB } })
  await assert.rejects(preload(options, context()), (e) => isLongshoreError(e, 'ACCESS_DENIED'))
  remove()
  const left = readdirSync(cacheDir, { recursive: true, encoding: 'utf8' })
  const journal = left.find((name) => name.endsWith('.ranges')) ?? ''
  const ranges = readFileSync(join(cacheDir, journal), 'utf8').trimEnd().split('\n').length - 1
  // Three ranges came; one whose write was under way when the fourth failed is not journaled.
  assert.ok(ranges >= 1 && ranges <= 3, String(ranges))
  dev.server.requests.clear()
  const report = await preload(options, context())
  assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(objects, 'p/'))
  assert.equal(report.sources[0]?.kept.files, 1)
  const sent = dev.server.requests.all().reduce((sum, r) => sum + r.bytesOut, 0)
  assert.equal(sent, (41 - ranges * 8) * MIB)
})

test('a full disk is NO_SPACE: half files go, finished ones stay', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'the small file must be there before the disk is full' })
  const objects = { 'p/a': noise('a', 1000), 'p/large': noise('l', 20 * MIB) }
  dev.seed(objects)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/p/`], cacheDir)
  let done = 0
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  const progress = {
    ...SILENT,
    // Where a disk would fill up: between two ranges of a large file.
    done() {
      if (++done > 2) throw full
    },
  }
  await assert.rejects(preload(options, contextFor(dev, { progress })), (e) =>
    isLongshoreError(e, 'NO_SPACE'),
  )
  const left = readdirSync(cacheDir, { recursive: true, encoding: 'utf8' })
  assert.deepEqual(
    left.filter((n) => /\.(?:part|ranges|whole)$/.test(n)),
    [],
  )
  assert.ok(left.some((n) => n.endsWith('/a')))
  const report = await preload(options, contextFor(dev))
  assert.equal(report.sources[0]?.kept.files, 1)
})

test('an evict in the middle of a preload takes nothing of it', async (t) => {
  const dev = await withDevServer(t)
  const objects = packedObjects([20 * MIB, 1000])
  dev.seed({ ...objects, 'old/x': noise('x', 1000) })
  const cacheDir = tempDir(t)
  const old = preloadOptions([`${dev.root}/old/`], cacheDir, { lease: 1 })
  await preload(old, contextFor(dev))
  let evicting: Promise<unknown> | undefined
  const progress = {
    ...SILENT,
    done() {
      evicting ??= evict({ cacheDir, cacheMode: 'private', maxSize: { bytes: 1 }, grace: 0 }, contextFor(dev))
    },
  }
  const report = await preload(
    preloadOptions([`${dev.root}/packed/`], cacheDir),
    contextFor(dev, { progress }),
  )
  await evicting
  assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(objects, 'packed/'))
})

test('a folder that somebody removed by hand is fetched again, and nobody believes in it meanwhile', async (t) => {
  const dev = await withDevServer(t)
  const objects = packedObjects([1000, 2000])
  dev.seed(objects)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/packed/`], cacheDir)
  const path = (await preload(options, contextFor(dev))).sources[0]?.path ?? ''
  rmSync(join(path, 'train-000001.tar'))
  const gap = await preload({ ...options, check: true }, contextFor(dev))
  assert.deepEqual([gap.exit, gap.sources[0]?.missing?.first], [3, ['train-000001.tar']])
  rmSync(path, { recursive: true })
  const offline = { ...options, offline: true }
  await assert.rejects(preload(offline, contextFor(dev)), (e) => isLongshoreError(e, 'OFFLINE_MISSING'))
  let said: string[] = []
  const phase = (name: string) => {
    if (name === 'fetch')
      said = readdirSync(join(cacheDir, '.longshore/ready'), { recursive: true, encoding: 'utf8' })
  }
  const again = await preload(options, contextFor(dev, { progress: { ...SILENT, phase } }))
  assert.deepEqual(treeOf(again.sources[0]?.path ?? ''), expectedTree(objects, 'packed/'))
  assert.deepEqual(
    said.filter((name) => name.endsWith('.json')),
    [],
  )
  assert.deepEqual(treeOf((await preload(offline, contextFor(dev))).sources[0]?.path ?? ''), treeOf(path))
})
