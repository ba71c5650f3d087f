import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import { scratchError } from '../../src/pack/scratch.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { assertSame, packInto, readBucket, readTree, sampleObjects, unpack, writeTree } from './pack-into.ts'

const OBJECTS = sampleObjects(60, 52_000)

test('a local folder packed into another is all there, byte for byte, and its indexes are right', async (t) => {
  const source = writeTree(tempDir(t), OBJECTS)
  const destination = tempDir(t)
  const scratch = tempDir(t)
  const report = await packInto(t, { source, destination }, { context: { env: { TMPDIR: scratch } } })
  const { manifest, members } = await unpack(readTree(destination))
  assertSame(members, OBJECTS)
  assert.equal(report.exit, 0)
  assert.equal(report.objects, OBJECTS.size)
  assert.equal(report.packed, manifest.shards.length)
  assert.ok(manifest.shards.length > 2)
  assert.deepEqual(manifest.splits, report.splits)
  assert.equal(manifest.source.url, 'local:')
  const left = readdirSync(scratch, { recursive: true }).filter((name) => String(name).includes('sort-'))
  assert.deepEqual(left, [], 'no scratch folder is left')
})

test('run again, everything is kept and nothing is written', async (t) => {
  const source = writeTree(tempDir(t), OBJECTS)
  const destination = tempDir(t)
  const first = await packInto(t, { source, destination })
  const before = readTree(destination)
  const again = await packInto(t, { source, destination })
  assert.deepEqual([again.packed, again.kept], [0, first.packed])
  assert.equal(again.manifest, first.manifest)
  assertSame(readTree(destination), before)
})

test('the same files give the same shards from S3, from a folder, on one task or three', async (t) => {
  const server = await withDevServer(t)
  const source = writeTree(tempDir(t), OBJECTS)
  for (const [key, body] of OBJECTS) server.server.objects.put(server.bucket, `raw/${key}`, body)
  const local = tempDir(t)
  await packInto(t, { source, destination: local })

  const one = `${server.root}/one/`
  const raw = `${server.root}/raw/`
  const alone = await packInto(t, { source: raw, destination: one }, { server })
  const three = { source: raw, destination: `${server.root}/three/` }
  const reports = await Promise.all(
    [0, 1, 2].map((index) => packInto(t, { ...three, task: { index, count: 3 } }, { server })),
  )
  assert.equal(
    reports.reduce((sum, r) => sum + r.packed, 0),
    alone.packed,
  )
  assert.ok(
    reports.some((r) => r.manifest === alone.manifest),
    'the last one publishes',
  )
  assertSame(readBucket(server, 'three/'), readBucket(server, 'one/'))
  const shards = (files: Map<string, Buffer>) => new Map([...files].filter(([name]) => name.endsWith('.tar')))
  assertSame(shards(readBucket(server, 'one/')), shards(readTree(local)))
  const { members } = await unpack(readBucket(server, 'one/'))
  assertSame(members, OBJECTS)
})

test('a listing in no order gives the same dataset', async (t) => {
  const server = await withDevServer(t)
  for (const [key, body] of OBJECTS) server.server.objects.put(server.bucket, `raw/${key}`, body)
  const source = `${server.root}/raw/`
  const sorted = await packInto(t, { source, destination: `${server.root}/a/` }, { server })
  server.server.faults.add({ do: { kind: 'unsorted' } })
  const unsorted = await packInto(t, { source, destination: `${server.root}/b/` }, { server })
  assert.equal(unsorted.manifest, sorted.manifest)
})

test('two packs of one source into one place at once: one works, the other finds it done', async (t) => {
  const server = await withDevServer(t, { undisturbed: 'it counts the bytes sent' })
  for (const [key, body] of OBJECTS) server.server.objects.put(server.bucket, `raw/${key}`, body)
  const options = { source: `${server.root}/raw/`, destination: `${server.root}/v1/` }
  const context = { env: { ...server.env, TMPDIR: tempDir(t) } }
  const reports = await Promise.all([1, 2].map(() => packInto(t, options, { server, context })))
  assert.equal(reports[0]?.manifest, reports[1]?.manifest)
  assert.deepEqual(reports.map((r) => r.packed > 0).sort(), [false, true])
  const bytes = server.server.requests
    .all()
    .filter((r) => r.operation === 'GetObject' && r.key.startsWith('raw/'))
    .reduce((sum, r) => sum + r.bytesOut, 0)
  assert.equal(
    bytes,
    [...OBJECTS.values()].reduce((sum, b) => sum + b.length, 0),
  )
})

test('a dry run says what it would take and writes nothing at all', async (t) => {
  const source = writeTree(tempDir(t), OBJECTS)
  const destination = join(tempDir(t), 'not', 'there')
  const report = await packInto(t, { source, destination }, { context: { dryRun: true } })
  assert.equal(report.manifest, undefined)
  assert.ok((report.estimate?.get ?? 0) >= OBJECTS.size)
  assert.ok((report.estimate?.disk ?? 0) > report.bytes)
  assert.throws(() => readdirSync(destination), { code: 'ENOENT' })
})

test('a destination that holds something else is refused, and left as it is', async (t) => {
  const source = writeTree(tempDir(t), sampleObjects(5, 100))
  const destination = tempDir(t)
  await packInto(t, { source, destination })
  const before = readTree(destination)
  const other = { code: 'DEST_HOLDS_OTHER', hint: /new one/ }
  await assert.rejects(packInto(t, { source, destination, shuffle: 3 }), {
    ...other,
    message: /another shuffle/,
  })
  writeFileSync(join(source, 'new.txt'), 'new')
  await assert.rejects(packInto(t, { source, destination }), { ...other, message: /older state of SRC/ })
  assertSame(readTree(destination), before)

  const foreign = tempDir(t)
  writeFileSync(join(foreign, 'train-000000.tar'), 'x')
  await assert.rejects(packInto(t, { source, destination: foreign }), other)
  assert.deepEqual(readdirSync(foreign), ['train-000000.tar'])
})

test('a destination inside the source is refused, also through a link', async (t) => {
  const dir = tempDir(t)
  const source = writeTree(join(dir, 'src'), sampleObjects(2, 10))
  symlinkSync(source, join(dir, 'link'))
  for (const destination of [source, join(source, 'out'), join(dir, 'link', 'new', 'out')]) {
    await assert.rejects(packInto(t, { source, destination }), { code: 'DEST_INSIDE_SOURCE' }, destination)
  }
  await assert.rejects(packInto(t, { source: 's3://bucket/a/', destination: 's3://bucket/a/b/' }), {
    code: 'DEST_INSIDE_SOURCE',
  })
})

test('nothing is written when something cannot be packed; skipped, it is listed and the status says so', async (t) => {
  const source = writeTree(tempDir(t), sampleObjects(3, 50))
  writeFileSync(join(source, 'README'), 'no extension')
  symlinkSync('/etc/hostname', join(source, 'out.txt'))
  mkdirSync(join(source, '.git'))
  writeFileSync(join(source, '.DS_Store'), '')
  const destination = join(tempDir(t), 'v1')
  await assert.rejects(packInto(t, { source, destination }), { code: 'LINT', message: /^2 objects/ })
  assert.throws(() => readdirSync(destination), { code: 'ENOENT' })
  const report = await packInto(t, { source, destination, onUnpackable: 'skip' })
  assert.equal(report.exit, 3)
  assert.deepEqual(report.left.map((l) => l.key).sort(), ['.DS_Store', 'README', 'out.txt'])
  const files = readTree(destination)
  const { manifest } = await unpack(files)
  assert.equal(manifest.leftCount, 3)
  assert.equal(report.leftList, '.longshore/left.jsonl')
})

test('temporary files that find no space are named, with the mend', () => {
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  const told = scratchError(full, '/tmp/x')
  assert.ok(told instanceof LongshoreError)
  assert.deepEqual([told.code, told.path], ['NO_SPACE', '/tmp/x'])
  assert.match(told.hint ?? '', /TMPDIR/)
  assert.equal(scratchError(told, '/tmp/y'), told)
})
