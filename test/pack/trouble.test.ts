import assert from 'node:assert/strict'
import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { LongshoreError } from '../../src/errors.ts'
import { SILENT } from '../../src/progress.ts'
import { type TestServer, type WithDevServerOptions, withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { type Cleanup, tempDir } from '../support/tmp.ts'
import {
  assertSame,
  noise,
  type Objects,
  packInto,
  readBucket,
  readTree,
  sampleObjects,
  unpack,
  writeTree,
} from './pack-into.ts'

const MIB = 2 ** 20
/** Two shards of three parts each; one object spans all three parts of its shard. */
const LARGE: Objects = new Map([
  ['a.bin', noise(19 * MIB + 17, 1)],
  ['a.json', Buffer.from('{}')],
  ...Array.from({ length: 40 }, (_, i): [string, Buffer] => [`s${i}.bin`, noise(450_000 + i, i + 2)]),
])
const SHARDS = { shardSize: 20 * MIB, shuffle: false } as const
/** Two shards, the first of two parts. */
const MEDIUM: Objects = new Map([
  ['a.bin', noise(9 * MIB + 17, 1)],
  ['a.json', Buffer.from('{}')],
  ...Array.from({ length: 8 }, (_, i): [string, Buffer] => [`s${i}.bin`, noise(450_000 + i, i + 2)]),
])
const TWO_SHARDS = { shardSize: 10 * MIB, shuffle: false } as const

test('a shard of many parts holds every object, also one that spans them', async (t) => {
  const server = await serve(t, LARGE)
  const report = await packInto(t, { ...SHARDS, ...places(server) }, { server })
  assert.equal(report.packed, 2)
  const { manifest, members } = await unpack(readBucket(server, 'v1/'))
  assertSame(members, LARGE)
  assert.deepEqual(
    manifest.shards.map((s) => Math.ceil(s.size / (8 * MIB))),
    [3, 3],
  )
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])

  const local = tempDir(t)
  await packInto(t, { ...SHARDS, source: writeTree(tempDir(t), LARGE), destination: local })
  for (const { name } of manifest.shards) {
    assert.ok(
      readTree(local)
        .get(name)
        ?.equals(readBucket(server, 'v1/').get(name) ?? Buffer.alloc(0)),
      name,
    )
  }
})

test('shard after shard: the first one is whole before the bytes of the second have come', async (t) => {
  const server = await serve(t, LARGE, { undisturbed: 'counts the requests' })
  server.server.faults.add({
    match: { operation: 'CreateMultipartUpload', key: /000000\.tar$/ },
    do: { kind: 'delay', ms: 300 },
  })
  const engine = { lane: LANE, concurrency: 1, memory: 64 * MIB }
  await packInto(t, { ...SHARDS, ...places(server) }, { server, context: { engine } })
  const all = server.server.requests.all()
  const parts = all.filter(({ operation }) => operation === 'UploadPart').map(({ key }) => key.slice(-10))
  assert.deepEqual(parts, [...Array(3).fill('000000.tar'), ...Array(3).fill('000001.tar')])
  const at = (operation: string, end: string) =>
    all.findLastIndex((r) => r.operation === operation && r.key.endsWith(end))
  assert.ok(at('PutObject', '000000.index.jsonl') < at('UploadPart', '000001.tar'))
  assert.ok(at('CompleteMultipartUpload', '000000.tar') < at('UploadPart', '000001.tar'))
  assert.equal(at('GetObject', 'slice-000000.jsonl'), -1, 'what this run planned it has on its disk')
})

test('with a fault on every fifth request, the same bytes and no open upload', async (t) => {
  const objects = sampleObjects(8, 20_000)
  objects.set('large.bin', noise(9 * MIB, 9))
  const server = await serve(t, objects)
  const options = { shardSize: 10 * MIB, source: `${server.root}/raw/` }
  const calm = await packInto(t, { ...options, destination: `${server.root}/calm/` }, { server })
  server.server.faults.add({ match: { every: 5 }, do: { kind: 'status', status: 503 } })
  server.server.faults.add({ match: { every: 7 }, do: { kind: 'reset', afterBytes: 1000 } })
  server.server.faults.add({ match: { every: 11 }, do: { kind: 'lost-answer' } })
  const rough = await packInto(t, { ...options, destination: `${server.root}/rough/` }, { server })
  server.server.faults.clear()
  assert.equal(rough.manifest, calm.manifest)
  assert.ok(rough.retries > 0)
  assertSame(readBucket(server, 'rough/'), readBucket(server, 'calm/'))
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
})

test('stopped at any moment and run again: the same bytes, finished shards kept, no open upload', async (t) => {
  const objects = sampleObjects(30, 70_000)
  objects.set('large.bin', noise(9 * MIB, 9))
  const server = await serve(t, objects, { undisturbed: 'it stops after a share of the requests' })
  const { requests, faults } = server.server
  const calm = await packInto(t, { ...places(server), destination: `${server.root}/calm/` }, { server })
  const total = requests.count()
  const kept: number[] = []
  for (const part of [0.05, 0.65, 0.85]) {
    const destination = `${server.root}/cut-${part}/`
    // From there on none is answered: what is done when it stops does not depend on when somebody looks.
    const answers = faults.add({ match: { skip: Math.round(total * part) }, do: { kind: 'stall' } })
    const before = requests.count()
    const stop = new AbortController()
    const cut = packInto(t, { ...places(server), destination }, { server, context: { signal: stop.signal } })
    const rejected = assert.rejects(cut, { code: 'INTERRUPTED' })
    await quiet(() => requests.count(), before + Math.round(total * part))
    stop.abort(new LongshoreError('INTERRUPTED', 'stopped'))
    answers()
    await rejected
    for (const { key } of server.server.objects.uploads(server.bucket))
      assert.match(key, /\.tar$/, 'a stopped run leaves open nothing that the next one could not go on with')
    const again = await packInto(t, { ...places(server), destination }, { server })
    assert.deepEqual(server.server.objects.uploads(server.bucket), [])
    assert.equal(again.manifest, calm.manifest)
    assertSame(readBucket(server, `cut-${part}/`), readBucket(server, 'calm/'))
    kept.push(again.kept)
  }
  assert.ok(
    kept.some((n) => n > 0 && n < calm.packed),
    kept.join(),
  )
})

test('an upload that a killed run left open is cleared away by the next', async (t) => {
  const server = await serve(t, MEDIUM)
  const fails = server.server.faults.add({
    match: { operation: ['CompleteMultipartUpload', 'AbortMultipartUpload'] },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await assert.rejects(packInto(t, { ...TWO_SHARDS, ...places(server) }, { server }), {
    code: 'ACCESS_DENIED',
  })
  fails()
  assert.ok(server.server.objects.uploads(server.bucket).length > 0)
  await packInto(t, { ...TWO_SHARDS, ...places(server) }, { server })
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
})

test('a frozen plan is continued without listing the source again', async (t) => {
  const server = await serve(t, sampleObjects(30, 60_000))
  const fails = server.server.faults.add({
    match: { operation: 'PutObject', key: /longshore\.json$/ },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await assert.rejects(packInto(t, places(server), { server }), { code: 'ACCESS_DENIED' })
  fails()
  server.server.requests.clear()
  const report = await packInto(t, places(server), { server })
  assert.equal(report.packed, 0)
  assert.ok(report.kept > 1)
  assert.ok(
    !server.server.requests.all().some((r) => r.key.startsWith('raw/') && r.operation === 'GetObject'),
  )
})

test('an object that changed since the listing stops the pack and is named', async (t) => {
  const { server, options } = await halfPacked(t)
  server.server.objects.put(server.bucket, 'raw/s3.bin', noise(450_003, 77))
  await assert.rejects(packInto(t, options, { server }), {
    code: 'SOURCE_CHANGED',
    message: /raw\/s3\.bin/,
    hint: /skip/,
  })
  server.server.objects.delete(server.bucket, 'raw/s3.bin')
  await assert.rejects(packInto(t, options, { server }), { code: 'SOURCE_CHANGED', message: /raw\/s3\.bin/ })
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
  assert.equal(server.server.objects.get(server.bucket, 'v1/longshore.json'), undefined)
})

test('--on-changed skip leaves out what changed, with its sample, lists it and ends with 3', async (t) => {
  const { server, options } = await halfPacked(t)
  server.server.objects.put(server.bucket, 'raw/a.bin', noise(100, 77))
  server.server.objects.delete(server.bucket, 'raw/s3.bin')
  const report = await packInto(t, { ...options, onChanged: 'skip' }, { server })
  assert.equal(report.exit, 3)
  const { manifest, members } = await unpack(readBucket(server, 'v1/'))
  const rest = new Map([...MEDIUM].filter(([key]) => !['a.bin', 'a.json', 's3.bin'].includes(key)))
  assertSame(members, rest)
  assert.deepEqual(
    manifest.left.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    [
      { key: 'a.bin', reason: 'changed since it was listed' },
      { key: 'a.json', reason: 'its sample lost a.bin' },
      { key: 's3.bin', reason: 'gone since it was listed' },
    ],
  )
})

test('no shard has its name before its record: what changes after a cut can still be left out', async (t) => {
  const objects = sampleObjects(10, 500)
  const server = await serve(t, objects)
  const fails = server.server.faults.add({
    match: { operation: 'PutObject', key: /\.idx$/ },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await assert.rejects(packInto(t, places(server), { server }), { code: 'ACCESS_DENIED' })
  fails()
  assert.ok(![...readBucket(server, 'v1/').keys()].some((key) => key.endsWith('.tar')))
  server.server.objects.delete(server.bucket, 'raw/c0/bild 0/ü.cls')
  const report = await packInto(t, { ...places(server), onChanged: 'skip' }, { server })
  assert.deepEqual([report.exit, report.leftCount], [3, 2])
})

test('run again, a dataset that left out what changed is recognised, until more has changed', async (t) => {
  const { server, options } = await halfPacked(t)
  server.server.objects.put(server.bucket, 'raw/a.bin', noise(100, 77))
  server.server.objects.delete(server.bucket, 'raw/s3.bin')
  const first = await packInto(t, { ...options, onChanged: 'skip' }, { server })
  const before = readBucket(server, 'v1/')
  const again = await packInto(t, { ...options, onChanged: 'skip' }, { server })
  assert.deepEqual([again.manifest, again.packed, again.exit], [first.manifest, 0, 3])
  const other = { code: 'DEST_HOLDS_OTHER' }
  await assert.rejects(packInto(t, options, { server }), {
    ...other,
    message: /without 3 objects that changed while it was packed \(--on-changed skip\)/,
  })
  server.server.objects.put(server.bucket, 'raw/s4.bin', noise(5, 5))
  await assert.rejects(packInto(t, { ...options, onChanged: 'skip' }, { server }), {
    ...other,
    message: /older state of SRC/,
  })
  assertSame(readBucket(server, 'v1/'), before)
})

test('a local file that was touched since the listing is noticed too', async (t) => {
  const source = writeTree(tempDir(t), sampleObjects(20, 1000))
  const destination = tempDir(t)
  const progress = {
    ...SILENT,
    phase(name: string) {
      // After the plan is frozen, before the first byte moves.
      if (name === 'pack') utimesSync(join(source, 'empty.txt'), 1, 1)
      if (name === 'pack') writeFileSync(join(source, 'c1/bild 1/ü.jpg'), noise(1001, 5))
    },
  }
  await assert.rejects(packInto(t, { source, destination }, { context: { progress } }), {
    code: 'SOURCE_CHANGED',
    message: /bild 1/,
  })
})

test('a shard that someone else put in the way is noticed and not replaced', async (t) => {
  const server = await serve(t, sampleObjects(10, 500))
  const intruder = Buffer.from('not a shard')
  const progress = {
    ...SILENT,
    phase(name: string) {
      if (name === 'pack') server.server.objects.put(server.bucket, 'v1/train-000000.tar', intruder)
    },
  }
  await assert.rejects(packInto(t, places(server), { server, context: { progress } }), {
    code: 'DEST_HOLDS_OTHER',
  })
  assert.ok(server.server.objects.get(server.bucket, 'v1/train-000000.tar')?.equals(intruder))
})

function places(server: TestServer) {
  return { source: `${server.root}/raw/`, destination: `${server.root}/v1/` }
}

/** Resolves once `count` is above `least` and has not grown for a while. */
async function quiet(count: () => number, least: number): Promise<void> {
  for (let last = -1; last <= least || last !== count(); ) {
    last = count()
    await setTimeout(100)
  }
}

async function serve(t: Cleanup, objects: Objects, options: WithDevServerOptions = {}): Promise<TestServer> {
  const server = await withDevServer(t, options)
  for (const [key, body] of objects) server.server.objects.put(server.bucket, `raw/${key}`, body)
  return server
}

/** A plan is frozen and no shard is there: the reads failed. */
async function halfPacked(t: Cleanup) {
  const server = await serve(t, MEDIUM)
  const options = { ...TWO_SHARDS, ...places(server) }
  const fails = server.server.faults.add({
    match: { operation: 'GetObject', key: /^raw\// },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await assert.rejects(packInto(t, options, { server }), { code: 'ACCESS_DENIED' })
  fails()
  return { server, options }
}
