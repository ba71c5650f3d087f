import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from '../../src/checksum/crc32.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import { LongshoreError } from '../../src/errors.ts'
import { SILENT } from '../../src/progress.ts'
import { localStore } from '../../src/s3/local-store.ts'
import { type TestServer, type WithDevServerOptions, withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { type Cleanup, tempDir } from '../support/tmp.ts'
import { until } from '../support/until.ts'
import {
  assertSame,
  noise,
  type Objects,
  packInto,
  readBucket,
  readTree,
  unpack,
  writeTree,
} from './pack-into.ts'

const MIB = 2 ** 20
/** One shard of four parts; one object is larger than a part, and one larger than the shard size. */
const OBJECTS: Objects = new Map([
  ['a.bin', noise(12 * MIB + 5, 1)],
  ...Array.from({ length: 18 }, (_, i): [string, Buffer] => [`s${i}.bin`, noise(MIB + i, i + 2)]),
])
const OPTIONS = { shardSize: 48 * MIB, shuffle: false } as const
/** One part at a time, in order. */
const SLOWLY = { engine: { lane: LANE, concurrency: 2, memory: 8 * MIB } }

test('an object larger than a part, and one larger than the shard size, are whole', async (t) => {
  const server = await serve(t)
  await packInto(t, { ...places(server), shuffle: false, shardSize: 10 * MIB }, { server })
  const { manifest, members } = await unpack(readBucket(server, 'v1/'))
  assertSame(members, OBJECTS)
  const [first] = manifest.shards
  assert.deepEqual([first?.samples, (first?.size ?? 0) > 12 * MIB], [1, true])
})

test('cut off after some parts, the rerun fetches the rest only and ends with the same bytes', async (t) => {
  const { server, calm, gets } = await calmly(t)
  const warnings = await cutAfter(t, server, 3)
  assert.match(warnings.join(), /uploads left open: 1, parts of shards that are up in them: 3/)
  const report = await again(t, server)
  assert.equal(report.keptParts, 3)
  assert.ok(sourceGets(server) <= gets / 2 + 2, `${sourceGets(server)} of ${gets}`)
  assert.equal(server.server.requests.count('CreateMultipartUpload'), 0)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('parts of several blocks are kept too, by the sums that were written down with them', async (t) => {
  const { server, calm } = await calmly(t)
  const context = { partSize: 16 * MIB, engine: { lane: LANE, concurrency: 2, memory: 16 * MIB } }
  await cutAfter(t, server, 1, context)
  const report = await again(t, server, context)
  assert.equal(report.keptParts, 1)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('a store that tells no part checksums: the sums written down count, and no others', async (t) => {
  const { server, calm } = await calmly(t)
  server.server.faults.add({ match: { operation: 'ListParts' }, do: { kind: 'no-checksums' } })
  await cutAfter(t, server, 3)
  const sums = server.server.objects.keys(server.bucket, 'v1/').filter((key) => /-0000\d\.json$/.test(key))
  assert.equal(sums.length, 3)
  // As if that part had been put up again since, with other bytes.
  const [changed = ''] = sums
  const text = String(server.server.objects.get(server.bucket, changed))
  server.server.objects.put(server.bucket, changed, text.replace(/"etag":"[^,]*"/, '"etag":"other"'))
  const report = await again(t, server)
  assert.equal(report.keptParts, 2)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('another part size, or an upload that is gone: the shard is begun anew', async (t) => {
  const { server, calm } = await calmly(t)
  await cutAfter(t, server, 3)
  const other = await again(t, server, { partSize: 16 * MIB })
  assert.equal(other.keptParts, 0)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)

  await cutAfter(t, server, 3)
  const store = await server.openStore()
  for (const { key, uploadId } of server.server.objects.uploads(server.bucket))
    await store.abortUpload(key, uploadId)
  const fresh = await again(t, server)
  assert.equal(fresh.keptParts, 0)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('an upload that no record names is never gone on with', async (t) => {
  const { server, calm } = await calmly(t)
  await cutAfter(t, server, 3)
  for (const key of server.server.objects.keys(server.bucket, 'v1/.longshore/plan/'))
    if (key.includes('/uploads/')) server.server.objects.delete(server.bucket, key)
  const report = await again(t, server)
  assert.equal(report.keptParts, 0)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('a part of another size is put up again', async (t) => {
  const { server, calm } = await calmly(t)
  await cutAfter(t, server, 3)
  const store = await server.openStore()
  const [open] = server.server.objects.uploads(server.bucket)
  const body = noise(6 * MIB, 99)
  await store.putPart({
    key: open?.key ?? '',
    uploadId: open?.uploadId ?? '',
    partNumber: 2,
    offset: 8 * MIB,
    body,
    crc32: crc32(body),
  })
  const report = await again(t, server)
  assert.equal(report.keptParts, 2)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('a source that changed ends the uploads that earlier runs left', async (t) => {
  const { server } = await calmly(t)
  await cutAfter(t, server, 3)
  server.server.objects.put(server.bucket, 'raw/s9.bin', noise(MIB, 77))
  await assert.rejects(packInto(t, { ...places(server), ...OPTIONS }, { server }), { code: 'SOURCE_CHANGED' })
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
})

test('what changed is left out of the shard that an earlier run had begun', async (t) => {
  const { server } = await calmly(t)
  await cutAfter(t, server, 3)
  server.server.objects.delete(server.bucket, 'raw/s9.bin')
  const report = await packInto(t, { ...places(server), ...OPTIONS, onChanged: 'skip' }, { server })
  assert.equal(report.exit, 3)
  const rest = new Map([...OBJECTS].filter(([key]) => key !== 's9.bin'))
  assertSame((await unpack(readBucket(server, 'v1/'))).members, rest)
  assertTidy(server)
})

test('an upload whose completion is refused for good is not tried for ever', async (t) => {
  const { server, calm } = await calmly(t)
  const fails = server.server.faults.add({
    match: { operation: 'CompleteMultipartUpload' },
    do: { kind: 'status', status: 400, code: 'InvalidPart' },
  })
  const options = { ...places(server), ...OPTIONS }
  await assert.rejects(packInto(t, options, { server }), { code: 'SERVER' })
  await assert.rejects(packInto(t, options, { server }), { code: 'SERVER' })
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
  fails()
  await again(t, server)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('two runs at one shard put their parts into one upload', async (t) => {
  const { server, calm } = await calmly(t)
  server.server.faults.add({ match: { operation: 'UploadPart' }, do: { kind: 'delay', ms: 60 } })
  const options = { ...places(server), ...OPTIONS }
  const first = packInto(t, options, { server, context: SLOWLY })
  await until(() => server.server.requests.count('UploadPart') > 0, { times: 10_000, everyMs: 1 })
  const reports = await Promise.all([first, packInto(t, options, { server, context: SLOWLY })])
  assert.equal(server.server.requests.count('CreateMultipartUpload'), 1)
  assert.equal(reports[0].manifest, reports[1].manifest)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('killed without warning between two parts, a rerun goes on with those that are up', async (t) => {
  const { server, calm, gets } = await calmly(t)
  server.server.faults.add({ match: { operation: 'UploadPart' }, do: { kind: 'delay', ms: 40 } })
  const { source, destination } = places(server)
  await killed(t, [source, destination], {
    env: server.env,
    when: () => server.server.requests.count('UploadPart') >= 2,
  })
  server.server.requests.clear()
  const report = await again(t, server)
  assert.ok(report.keptParts > 0)
  assert.ok(sourceGets(server) < gets, `${sourceGets(server)} of ${gets}`)
  assertSame(readBucket(server, 'v1/'), calm)
  assertTidy(server)
})

test('the same into a folder', async (t) => {
  const source = writeTree(tempDir(t), OBJECTS)
  const destination = tempDir(t)
  await killed(t, [source, destination], { env: {}, when: () => localParts(destination) >= 2 })
  const left = localParts(destination)
  const report = await packInto(t, { ...OPTIONS, source, destination })
  // A slow machine may come to kill it when the shard has its name already.
  assert.equal(report.keptParts, report.packed === 0 ? 0 : left)
  assertSame((await unpack(readTree(destination))).members, OBJECTS)
  for await (const open of localStore(destination).listUploads('')) assert.fail(`${open.key} is open`)
})

async function killed(
  t: Cleanup,
  places: [string, string],
  { env, when }: { env: Record<string, string>; when: () => boolean },
): Promise<void> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(import.meta.dirname, 'pack-child.ts'), ...places, '48', '8'],
    { env: { ...process.env, ...env, TMPDIR: tempDir(t) }, stdio: 'ignore' },
  )
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  while (child.exitCode === null && !when()) await sleep(1)
  child.kill('SIGKILL')
  await ended
}

function localParts(destination: string): number {
  const folder = join(destination, '.longshore', 'uploads')
  if (!existsSync(folder)) return 0
  return readdirSync(folder, { recursive: true }).filter((name) =>
    /\/\d+-\d+-\d+-[0-9a-f]{8}$/.test(String(name)),
  ).length
}

let calmRun: { calm: Objects; gets: number } | undefined

/** The bytes of an undisturbed run, and the GETs that it took: made once, since all servers hold the same. */
async function calmly(t: Cleanup) {
  const server = await serve(t, { undisturbed: 'its tests count requests' })
  if (calmRun === undefined) {
    const destination = `${server.root}/calm/`
    await packInto(t, { ...places(server), ...OPTIONS, destination }, { server })
    calmRun = { calm: readBucket(server, 'calm/'), gets: sourceGets(server) }
    server.server.requests.clear()
  }
  return { server, ...calmRun }
}

/** Stops a pack when so many parts are up. Returns its warnings. */
async function cutAfter(
  t: Cleanup,
  server: TestServer,
  parts: number,
  context: Partial<CommandContext> = {},
): Promise<string[]> {
  for (const key of server.server.objects.keys(server.bucket, 'v1/'))
    server.server.objects.delete(server.bucket, key)
  server.server.requests.clear()
  const stop = new AbortController()
  const warnings: string[] = []
  let up = 0
  const progress = {
    ...SILENT,
    done({ bytes = 0 }) {
      if (bytes < MIB || ++up < parts) return
      stop.abort(new LongshoreError('INTERRUPTED', 'stopped'))
    },
    warn: (message: string) => void warnings.push(message),
  }
  const cut = packInto(
    t,
    { ...places(server), ...OPTIONS },
    { server, context: { ...SLOWLY, ...context, progress, signal: stop.signal } },
  )
  await assert.rejects(cut, { code: 'INTERRUPTED' })
  assert.equal(server.server.objects.uploads(server.bucket).length, 1)
  server.server.requests.clear()
  return warnings
}

function again(t: Cleanup, server: TestServer, context: Partial<CommandContext> = {}) {
  return packInto(t, { ...places(server), ...OPTIONS }, { server, context })
}

/** No open upload, and nothing beside the dataset but its plan and results. */
function assertTidy(server: TestServer): void {
  assert.deepEqual(server.server.objects.uploads(server.bucket), [])
  const keys = server.server.objects.keys(server.bucket, 'v1/.longshore/plan/')
  assert.deepEqual(
    keys.filter((key) => key.includes('/uploads/')),
    [],
  )
}

function sourceGets({ server }: TestServer): number {
  return server.requests.all().filter((r) => r.operation === 'GetObject' && r.key.startsWith('raw/')).length
}

function places(server: TestServer) {
  return { source: `${server.root}/raw/`, destination: `${server.root}/v1/` }
}

async function serve(t: Cleanup, options: WithDevServerOptions = {}): Promise<TestServer> {
  const server = await withDevServer(t, options)
  for (const [key, body] of OBJECTS) server.server.objects.put(server.bucket, `raw/${key}`, body)
  return server
}
