import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import { writeList } from '../../src/pack/documents.ts'
import { SILENT } from '../../src/progress.ts'
import { openEngine } from '../../src/transfer/engine.ts'
import { type TestServer, withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import type { Cleanup } from '../support/tmp.ts'
import { assertSame, noise, type Objects, packInto, readBucket, unpack } from './pack-into.ts'

const MIB = 2 ** 20
const OBJECTS: Objects = new Map(Array.from({ length: 12 }, (_, i) => [`s${i}.bin`, noise(MIB + i, i)]))

test('an upload whose beginning got no answer is not left open', async (t) => {
  const server = await serve(t)
  server.server.faults.add({
    match: { operation: 'CreateMultipartUpload' },
    do: { kind: 'lost-answer' },
  })
  await assert.rejects(packInto(t, places(server), { server, settings: { retries: 0 } }))
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
})

test('who may not list uploads can pack, and continue a pack that was cut', async (t) => {
  const server = await serve(t)
  server.server.faults.add({
    match: { operation: 'ListMultipartUploads' },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  const fails = server.server.faults.add({
    match: { operation: 'CompleteMultipartUpload' },
    do: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  await assert.rejects(packInto(t, places(server), { server }), { code: 'ACCESS_DENIED' })
  fails()
  server.server.faults.add({
    match: { operation: 'CreateMultipartUpload', first: 1 },
    do: { kind: 'status', status: 503 },
  })
  await packInto(t, places(server), { server })
  assertSame((await unpack(readBucket(server, 'v1/'))).members, OBJECTS)
})

test('two packs on two machines that take each other for dead both end well', async (t) => {
  const server = await serve(t)
  const options = places(server)
  server.server.faults.add({ match: { operation: 'UploadPart' }, do: { kind: 'delay', ms: 150 } })
  // A temporary folder each: their locks do not meet.
  const first = packInto(t, options, { server })
  await uploadIsOpen(server)
  const reports = await Promise.all([first, packInto(t, options, { server })])
  assert.equal(reports[0].manifest, reports[1].manifest)
  assertSame((await unpack(readBucket(server, 'v1/'))).members, OBJECTS)
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
})

test('a long list that is stopped while it goes up leaves no open upload', async (t) => {
  const server = await serve(t)
  const store = await server.openStore()
  const stop = new AbortController()
  const engine = openEngine({ lane: LANE, concurrency: 4, memory: 32 * MIB, signal: stop.signal })
  t.after(() => engine.close())
  server.server.faults.add({ match: { operation: 'UploadPart' }, do: { kind: 'delay', ms: 5_000 } })
  const desk = { engine, store, prefix: 'v1/', signal: stop.signal }
  async function* chunks() {
    for (let i = 0; i < 20; i++) yield noise(MIB, i)
  }
  const written = writeList(desk, 'v1/train-000000.index.jsonl', chunks())
  await uploadIsOpen(server)
  stop.abort(new LongshoreError('INTERRUPTED', 'stopped'))
  await assert.rejects(written, { code: 'INTERRUPTED' })
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
})

test('the last run of a dataset clears away what killed ones left: of shards, indexes and plans', async (t) => {
  const server = await serve(t)
  const store = await server.openStore()
  const other = await store.createUpload('v1/someone-elses.bin')
  for (const key of [
    'v1/train-000000.tar',
    'v1/train-000000.index.jsonl',
    `v1/.longshore/plan/${'0'.repeat(64)}/slice-000000.jsonl`,
  ]) {
    await store.createUpload(key)
  }
  await packInto(t, places(server), { server, context: { progress: SILENT } })
  assert.deepEqual(
    server.server.objects.uploads(server.bucket).map((upload) => upload.uploadId),
    [other],
  )
})

async function uploadIsOpen({ server, bucket }: TestServer): Promise<void> {
  for (let tries = 0; server.objects.uploads(bucket).length === 0; tries++) {
    assert.ok(tries < 5_000, 'an upload is begun')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

function places(server: TestServer) {
  return { source: `${server.root}/raw/`, destination: `${server.root}/v1/`, shardSize: 20 * MIB }
}

async function serve(t: Cleanup): Promise<TestServer> {
  const server = await withDevServer(t)
  for (const [key, body] of OBJECTS) server.server.objects.put(server.bucket, `raw/${key}`, body)
  return server
}
