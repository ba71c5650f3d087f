import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { preload } from '../../src/commands/preload.ts'
import { type ErrorCode, isLongshoreError } from '../../src/errors.ts'
import { SILENT } from '../../src/progress.ts'
import {
  contextFor,
  expectedTree,
  MIB,
  noise,
  packedObjects,
  preloadOptions,
  treeOf,
} from '../preload/support.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'

const code = (wanted: ErrorCode, about?: RegExp) => (error: unknown) =>
  isLongshoreError(error, wanted) && (about === undefined || about.test(error.message))

const plain = {
  'raw/a/1.jpg': noise('1', 1000),
  'raw/a/2.jpg': noise('2', 70_000),
  'raw/a/2.txt': Buffer.from(''),
  'raw/b/deep/er/3.jpg': noise('3', 5),
  'raw/big.bin': noise('4', 17 * MIB + 11),
  'rawer/no.jpg': Buffer.from('a folder never matches its sibling'),
}
const raw = Object.fromEntries(Object.entries(plain).filter(([k]) => k.startsWith('raw/')))

test('a plain prefix becomes an immutable folder, whole and checked; again is no fetch at all', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ ...plain, 'raw/marker/': '' })
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/raw`], cacheDir)
  const first = await preload(options, contextFor(dev))
  const [source] = first.sources
  assert.ok(source)
  assert.deepEqual(treeOf(source.path), expectedTree(raw, 'raw/'))
  assert.equal(source.kind, 'prefix')
  assert.equal(source.path.startsWith(join(cacheDir, '')), true)
  assert.match(source.path, /\/test\/raw@[0-9a-f]{12}$/)
  assert.deepEqual(source.fetched, { files: 5, bytes: source.bytes })
  assert.equal(
    Object.values(source.checks).reduce((a, b) => a + b, 0),
    5,
  )
  assert.equal(statSync(join(source.path, 'big.bin')).mode & 0o222, 0)
  assert.deepEqual(readdirSync(join(cacheDir, '.longshore/staging')), [])

  dev.server.requests.clear()
  const again = await preload(options, contextFor(dev))
  assert.equal(again.sources[0]?.path, source.path)
  assert.deepEqual(again.sources[0]?.kept, { files: 5, bytes: source.bytes })
  const log = dev.server.requests.all().filter((r) => r.bytesOut > 0)
  assert.deepEqual(log, [])
})

test('a packed dataset is checked by the CRCs of its manifest, which is placed with it', async (t) => {
  const dev = await withDevServer(t)
  const objects = packedObjects([20 * MIB + 5, 3000, 8 * MIB])
  dev.seed({ ...objects, 'packed/other.txt': 'not of the dataset' })
  const report = await preload(preloadOptions([`${dev.root}/packed/`], tempDir(t)), contextFor(dev))
  const [source] = report.sources
  assert.ok(source)
  assert.equal(source.kind, 'packed')
  assert.deepEqual(treeOf(source.path), expectedTree(objects, 'packed/'))
  assert.deepEqual(source.checks, { crc32: 6, sha256: 1 })
  assert.equal(report.requests.LIST, undefined)
})

test('a flipped byte is fetched once more; damage in the bucket is INTEGRITY and leaves no file', async (t) => {
  const dev = await withDevServer(t)
  const objects = packedObjects([20 * MIB, 3000])
  dev.seed(objects)
  const rule = {
    match: { key: /000000\.tar$/, first: 1, skip: 1 },
    do: { kind: 'flip-byte', at: 77 },
  } as const
  dev.server.faults.add(rule)
  const report = await preload(preloadOptions([`${dev.root}/packed/`], tempDir(t)), contextFor(dev))
  assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(objects, 'packed/'))

  const bytes = Buffer.from(objects['packed/train-000000.tar'] ?? '')
  bytes.writeUInt8(bytes.readUInt8(9 * MIB) ^ 1, 9 * MIB)
  dev.seed({ 'packed/train-000000.tar': bytes })
  const cacheDir = tempDir(t)
  await assert.rejects(
    preload(preloadOptions([`${dev.root}/packed/`], cacheDir), contextFor(dev)),
    code('INTEGRITY', /train-000000\.tar.*block/),
  )
  const names = readdirSync(cacheDir, { recursive: true, encoding: 'utf8' })
  assert.deepEqual(
    names.filter((n) => n.endsWith('000000.tar') || n.endsWith('longshore.json')),
    [],
  )
})

test('a fault on every fifth request changes nothing but the retries', async (t) => {
  const dev = await withDevServer(t)
  const objects: Record<string, Buffer> = { 'f/large': noise('l', 20 * MIB) }
  for (let i = 0; i < 60; i++) objects[`f/${i % 7}/${i}`] = noise(String(i), 2000 + i)
  dev.seed(objects)
  dev.server.faults.add({ match: { every: 5 }, do: { kind: 'status', status: 503 } })
  dev.server.faults.add({
    match: { every: 7, operation: 'GetObject' },
    do: { kind: 'reset', afterBytes: 500 },
  })
  dev.server.faults.add({
    match: { every: 11, operation: 'GetObject' },
    do: { kind: 'short-body', bytes: 99 },
  })
  const report = await preload(preloadOptions([`${dev.root}/f/`], tempDir(t)), contextFor(dev))
  assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(objects, 'f/'))
  assert.ok(report.retries > 0)
})

test('an object that changes after the listing is named, and nothing of it is mixed in', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'c/a': 'old a', 'c/b': 'old b' })
  const progress = {
    ...SILENT,
    phase(name: string) {
      if (name === 'fetch') dev.seed({ 'c/b': 'new b' })
    },
  }
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/c/`], cacheDir)
  await assert.rejects(preload(options, contextFor(dev, { progress })), code('SOURCE_CHANGED', /c\/b/))
  assert.equal(
    readdirSync(cacheDir, { recursive: true, encoding: 'utf8' }).some((n) => n.endsWith('/b')),
    false,
  )
  const gone = {
    ...SILENT,
    phase: (name: string) => name === 'fetch' && dev.server.objects.delete('test', 'c/b'),
  }
  await assert.rejects(
    preload(options, contextFor(dev, { progress: { ...gone } as typeof SILENT })),
    code('SOURCE_CHANGED', /c\/b/),
  )
  const report = await preload(options, contextFor(dev))
  assert.deepEqual(Object.keys(treeOf(report.sources[0]?.path ?? '')), ['a'])
})

test('keys that can be no files side by side, and prefixes without a file, are refused before any transfer', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'k/a': '1', 'k/a-b': '2', 'k/a/b': '3', 'g/ok': '1' })
  const cacheDir = tempDir(t)
  const run = (prefix: string, more = {}) =>
    preload(preloadOptions([`${dev.root}/${prefix}`], cacheDir, more), contextFor(dev))
  await assert.rejects(run('k/'), code('KEY_CONFLICT', /"a".*"a\/b"/))
  await assert.rejects(run('none/'), code('NOT_FOUND', /none/))
  await assert.rejects(run('g/', { include: ['*.nothing'] }), code('USAGE', /leave no file/))
  assert.deepEqual(
    dev.server.requests.all().filter((r) => r.bytesOut > 0),
    [],
  )
  assert.deepEqual(
    readdirSync(cacheDir).filter((n) => n !== '.longshore'),
    [],
  )
  assert.deepEqual(readdirSync(join(cacheDir, '.longshore/datasets')), [])
})

test('keys that are no paths stay inside the folder', async (t) => {
  const dev = await withDevServer(t)
  const long = `e/${'x'.repeat(400)}`
  const objects = {
    'e/../../etc/passwd': 'p',
    'e//x': 'slash',
    'e/~root': 'tilde',
    'e/new\nline': 'nl',
    [long]: 'long',
  }
  dev.seed(objects)
  const cacheDir = tempDir(t)
  const report = await preload(preloadOptions([`${dev.root}/e/`], cacheDir), contextFor(dev))
  assert.equal(report.sources[0]?.files, 5)
  assert.equal(Object.keys(treeOf(report.sources[0]?.path ?? '')).length, 5)
  assert.equal(existsSync(join(cacheDir, 'etc')), false)
})

test('the nodes of a job have everything once between them, in equal shares, and the whole satisfies any share', async (t) => {
  const dev = await withDevServer(t)
  const objects = packedObjects([1000, 2000, 3000, 4000, 5000])
  dev.seed(objects)
  const warnings: string[] = []
  const progress = { ...SILENT, warn: (message: string) => warnings.push(message) }
  const shards: string[][] = []
  for (const rank of [0, 1]) {
    const options = preloadOptions([`${dev.root}/packed/`], tempDir(t), { node: { rank, world: 2 } })
    const report = await preload(options, contextFor(dev, { progress: progress as typeof SILENT }))
    const names = Object.keys(treeOf(report.sources[0]?.path ?? ''))
    assert.ok(names.includes('longshore.json'))
    shards.push(names.filter((n) => n.endsWith('.tar')).sort())
    for (const n of shards.at(-1) ?? []) assert.ok(names.includes(n.replace('.tar', '.index.jsonl')))
  }
  assert.deepEqual(
    shards.map((s) => s.length),
    [3, 2],
  )
  assert.equal(new Set(shards.flat()).size, 5)
  assert.equal(warnings.filter((w) => w.includes('5 shards on 2 nodes')).length, 2)

  const cacheDir = tempDir(t)
  await preload(preloadOptions([`${dev.root}/packed/`], cacheDir), contextFor(dev))
  const env = { ...dev.env, SLURM_NODEID: '1', SLURM_NNODES: '2' }
  const share = await preload(
    preloadOptions([`${dev.root}/packed/`], cacheDir, { node: 'auto' }),
    contextFor({ ...dev, env }),
  )
  assert.equal(share.sources[0]?.fetched.files, 0)
  assert.equal(share.sources[0]?.files, 5)
})

test('what did not change since an older version is a hard link, not a fetch', async (t) => {
  const dev = await withDevServer(t)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/v/`], cacheDir)
  dev.seed({ 'v/a': 'aaa', 'v/b': 'bbb', 'v/c': 'ccc' })
  const before = await preload(options, contextFor(dev))
  dev.seed({ 'v/b': 'BBB', 'v/d': 'ddd' })
  dev.server.objects.delete('test', 'v/c')
  dev.server.requests.clear()
  const after = await preload(options, contextFor(dev))
  const [old, now] = [before.sources[0], after.sources[0]]
  assert.ok(old && now && old.path !== now.path)
  assert.deepEqual(now.linked, { files: 1, bytes: 3 })
  assert.deepEqual(now.fetched, { files: 2, bytes: 6 })
  assert.equal(lstatSync(join(old.path, 'a')).ino, lstatSync(join(now.path, 'a')).ino)
  assert.equal(readFileSync(join(old.path, 'b'), 'utf8'), 'bbb')
  assert.equal(readFileSync(join(now.path, 'b'), 'utf8'), 'BBB')

  dev.seed(packedObjects([10_000, 20_000], { prefix: 'p/' }))
  const packed = preloadOptions([`${dev.root}/p/`], cacheDir)
  await preload(packed, contextFor(dev))
  dev.seed(packedObjects([10_000, 20_000, 30_000], { prefix: 'p/' }))
  const grown = await preload(packed, contextFor(dev))
  assert.deepEqual(grown.sources[0]?.linked.files, 4)
})

test('two preloads of one dataset at once fetch each byte once, and both have it', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts the bytes sent' })
  const objects = packedObjects([20 * MIB, 5 * MIB])
  dev.seed(objects)
  const options = preloadOptions([`${dev.root}/packed/`], tempDir(t))
  const [one, two] = await Promise.all([preload(options, contextFor(dev)), preload(options, contextFor(dev))])
  assert.equal(one?.sources[0]?.path, two?.sources[0]?.path)
  const files = [one, two].map((r) => r?.sources[0]?.fetched.files).sort()
  assert.deepEqual(files, [0, 5])
  const sent = dev.server.requests.all().filter((r) => r.key.endsWith('.tar'))
  assert.equal(
    sent.reduce((sum, r) => sum + r.bytesOut, 0),
    25 * MIB,
  )
})

test('offline uses the newest complete copy without one request; without one it says so', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'o/a': '1' })
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/o/`], cacheDir)
  const offline = { ...options, offline: true }
  await assert.rejects(preload(offline, contextFor(dev)), code('OFFLINE_MISSING', /no cache/))
  await preload(options, contextFor(dev))
  dev.seed({ 'o/a': '22' })
  const newest = await preload(options, contextFor(dev))
  dev.server.requests.clear()
  const report = await preload(offline, contextFor(dev))
  assert.equal(report.sources[0]?.path, newest.sources[0]?.path)
  assert.equal(dev.server.requests.count(), 0)
  await assert.rejects(
    preload({ ...offline, sources: [`${dev.root}/other/`] }, contextFor(dev)),
    code('OFFLINE_MISSING', /other/),
  )
})

test('--check counts what is missing and writes nothing; --dry-run says what it would take', async (t) => {
  const dev = await withDevServer(t)
  dev.seed(plain)
  const cacheDir = join(tempDir(t), 'cache')
  const options = preloadOptions([`${dev.root}/raw/`], cacheDir)
  const gap = await preload({ ...options, check: true }, contextFor(dev))
  assert.equal(gap.exit, 3)
  assert.deepEqual(gap.sources[0]?.missing, {
    count: 5,
    first: ['a/1.jpg', 'a/2.jpg', 'a/2.txt', 'b/deep/er/3.jpg', 'big.bin'],
  })
  const dry = await preload(options, contextFor(dev, { dryRun: true }))
  assert.equal(dry.estimate?.bytes, gap.sources[0]?.bytes)
  assert.ok((dry.estimate?.get ?? 0) >= 6)
  assert.equal(existsSync(cacheDir), false)
  await preload(options, contextFor(dev))
  const done = await preload({ ...options, check: true }, contextFor(dev))
  assert.deepEqual([done.exit, done.sources[0]?.complete, done.sources[0]?.missing], [0, true, undefined])
  const readOnly = await preload({ ...options, readOnly: true }, contextFor(dev))
  assert.equal(readOnly.sources[0]?.kept.files, 5)
})

test('a limit is checked before the first byte', async (t) => {
  const dev = await withDevServer(t)
  dev.seed(plain)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/raw/`], cacheDir, { maxSize: { bytes: 1 * MIB } })
  await assert.rejects(preload(options, contextFor(dev)), code('OVER_LIMIT'))
  assert.deepEqual(
    dev.server.requests.all().filter((r) => r.bytesOut > 0),
    [],
  )
  assert.deepEqual(readdirSync(cacheDir), ['.longshore'])
  assert.deepEqual(readdirSync(join(cacheDir, '.longshore/datasets')), [])
})

test('CMD runs with LONGSHORE_DATA when all is there, its status is the exit, and it is not started on failure', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'x/a': '1', 'y/b': '2' })
  const dir = tempDir(t)
  const out = join(dir, 'out')
  const command = ['sh', '-c', `printf %s "$LONGSHORE_DATA" > ${out}; exit 7`]
  const cacheDir = join(dir, 'cache')
  const report = await preload(
    preloadOptions([`${dev.root}/x/`, `${dev.root}/y/`], cacheDir, { command }),
    contextFor(dev),
  )
  assert.equal(report.exit, 7)
  assert.equal(readFileSync(out, 'utf8'), report.sources.map((s) => s.path).join(':'))
  writeFileSync(out, 'untouched')
  await assert.rejects(preload(preloadOptions([`${dev.root}/z/`], cacheDir, { command }), contextFor(dev)))
  assert.equal(readFileSync(out, 'utf8'), 'untouched')
})

test('--link follows the newest version in one step, and never replaces anything else; --metrics-file tells the result', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'l/a': '1' })
  const dir = tempDir(t)
  const more = { link: join(dir, 'data'), metricsFile: join(dir, 'longshore.prom') }
  const options = preloadOptions([`${dev.root}/l/`], join(dir, 'cache'), more)
  const one = await preload(options, contextFor(dev))
  assert.equal(readlinkSync(more.link), one.sources[0]?.path)
  dev.seed({ 'l/a': '2' })
  const two = await preload(options, contextFor(dev))
  assert.equal(readlinkSync(more.link), two.sources[0]?.path)
  assert.match(readFileSync(more.metricsFile, 'utf8'), /^longshore_preload_exit_status 0$/m)
  writeFileSync(join(dir, 'file'), 'mine')
  await assert.rejects(
    preload({ ...options, link: join(dir, 'file') }, contextFor(dev)),
    code('USAGE', /--link/),
  )
  assert.equal(readFileSync(join(dir, 'file'), 'utf8'), 'mine')
  assert.match(readFileSync(more.metricsFile, 'utf8'), /^longshore_preload_exit_status 2$/m)
})

test('a local folder is a source like any other', async (t) => {
  const dev = await withDevServer(t)
  const dir = tempDir(t)
  const report = await preload(
    preloadOptions([join(dir, 'none')], join(dir, 'cache')),
    contextFor(dev),
  ).catch((e) => e)
  assert.ok(isLongshoreError(report))
  writeFileSync(join(dir, 'file.bin'), noise('f', 9 * MIB))
  const cacheDir = tempDir(t)
  const done = await preload(preloadOptions([dir], cacheDir), contextFor(dev))
  assert.equal(
    treeOf(done.sources[0]?.path ?? '')['file.bin'],
    expectedTree({ f: noise('f', 9 * MIB) }, '').f,
  )
})

test('small objects are checked by the checksum the store keeps; the report says where there was none', async (t) => {
  const dev = await withDevServer(t)
  const store = await dev.openStore()
  const body = noise('c', 500)
  await store.put({ key: 'c/with', body, crc32: crc32(body) })
  dev.seed({ 'c/without': body, 'c/large': noise('l', 9 * MIB) })
  const report = await preload(preloadOptions([`${dev.root}/c/`], tempDir(t)), contextFor(dev))
  assert.deepEqual(report.sources[0]?.checks, { crc32: 1, size: 2 })
  const unchecked = preloadOptions([`${dev.root}/c/`], tempDir(t), { verify: 'none' })
  assert.deepEqual((await preload(unchecked, contextFor(dev))).sources[0]?.checks, { none: 3 })
})
