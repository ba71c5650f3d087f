import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { cat } from '../../src/commands/cat.ts'
import { preload } from '../../src/commands/preload.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { contextFor, MIB, noise, packedObjects, preloadOptions } from '../preload/support.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

function collector(): Writable & { bytes(): Buffer } {
  const chunks: Buffer[] = []
  const sink = new Writable({
    write(chunk, _encoding, callback) {
      chunks.push(chunk)
      callback()
    },
  })
  return Object.assign(sink, { bytes: () => Buffer.concat(chunks) })
}

test('one object comes whole and in order, is fetched once, and from the cache afterwards', async (t) => {
  const dev = await withDevServer(t)
  const objects = {
    'o/large': noise('l', 43 * MIB + 1),
    'o/small': noise('s', 100),
    'o/empty': Buffer.alloc(0),
  }
  dev.seed(objects)
  const cacheDir = tempDir(t)
  for (const [key, bytes] of Object.entries(objects)) {
    const source = `${dev.root}/${key}`
    for (const fetched of [bytes.length, 0]) {
      const output = collector()
      const report = await cat({ source, output, cacheDir, cacheMode: 'private' }, contextFor(dev))
      assert.ok(output.bytes().equals(bytes), key)
      assert.deepEqual([report.bytes, report.fetched], [bytes.length, fetched])
    }
  }
})

test('several at once fetch it once between them', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts the bytes sent' })
  const bytes = noise('l', 20 * MIB)
  dev.seed({ 'o/large': bytes })
  const cacheDir = tempDir(t)
  const outputs = [collector(), collector(), collector()]
  const source = `${dev.root}/o/large`
  await Promise.all(
    outputs.map((output) => cat({ source, output, cacheDir, cacheMode: 'private' }, contextFor(dev))),
  )
  for (const output of outputs) assert.ok(output.bytes().equals(bytes))
  const sent = dev.server.requests.all().reduce((sum, r) => sum + r.bytesOut, 0)
  assert.equal(sent, bytes.length)
})

test('what a preloaded dataset holds is served from it, as long as the object is the same', async (t) => {
  const dev = await withDevServer(t)
  const packed = packedObjects([1000, 2000])
  dev.seed({ 'p/d/a': 'first', ...packed })
  const cacheDir = tempDir(t)
  await preload(preloadOptions([`${dev.root}/p/`, `${dev.root}/packed/`], cacheDir), contextFor(dev))
  const read = async (key: string) => {
    const output = collector()
    const options = { source: `${dev.root}/${key}`, output, cacheDir, cacheMode: 'private' } as const
    const { fetched } = await cat(options, contextFor(dev))
    return { fetched, bytes: output.bytes() }
  }
  assert.deepEqual(await read('p/d/a'), { fetched: 0, bytes: Buffer.from('first') })
  const shard = await read('packed/train-000001.tar')
  assert.equal(shard.fetched, 0)
  assert.ok(shard.bytes.equals(packed['packed/train-000001.tar'] ?? Buffer.alloc(0)))
  dev.seed({ 'p/d/a': 'later' })
  assert.deepEqual(await read('p/d/a'), { fetched: 5, bytes: Buffer.from('later') })
})

test('no byte of a damaged block of a shard is written', async (t) => {
  const dev = await withDevServer(t)
  const objects = packedObjects([33 * MIB])
  const bytes = Buffer.from(objects['packed/train-000000.tar'] ?? '')
  bytes.writeUInt8(bytes.readUInt8(17 * MIB) ^ 1, 17 * MIB)
  dev.seed({ ...objects, 'packed/train-000000.tar': bytes })
  const output = collector()
  const options = {
    source: `${dev.root}/packed/train-000000.tar`,
    output,
    cacheDir: tempDir(t),
    cacheMode: 'private',
  } as const
  await assert.rejects(cat(options, contextFor(dev)), (e) => isLongshoreError(e, 'INTEGRITY'))
  assert.ok(output.bytes().length <= 16 * MIB)
  assert.ok(output.bytes().equals(bytes.subarray(0, output.bytes().length)))
})

test('a reader that goes away ends it quietly; what was fetched is kept', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts the bytes sent' })
  dev.seed({ 'o/large': noise('l', 60 * MIB) })
  const cacheDir = tempDir(t)
  const output = new Writable({
    write(_chunk, _encoding, callback) {
      callback(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))
    },
  })
  const options = { source: `${dev.root}/o/large`, cacheDir, cacheMode: 'private' } as const
  const engine = { lane: LANE, concurrency: 1, memory: 32 * MIB }
  const report = await cat({ ...options, output }, contextFor(dev, { engine }))
  assert.ok(report.bytes < 60 * MIB)
  const sent = dev.server.requests.all().reduce((sum, r) => sum + r.bytesOut, 0)
  assert.ok(sent < 60 * MIB)
})

test('a missing object, a folder and a local file', async (t) => {
  const dev = await withDevServer(t)
  const dir = tempDir(t)
  const run = async (source: string) => {
    const output = collector()
    await cat({ source, output, cacheDir: join(dir, 'cache'), cacheMode: 'private' }, contextFor(dev))
    return output.bytes().toString()
  }
  await assert.rejects(
    run(`${dev.root}/none`),
    (e) => isLongshoreError(e, 'NOT_FOUND') && /none/.test(e.message),
  )
  await assert.rejects(run(`${dev.root}/folder/`), (e) => isLongshoreError(e, 'BAD_URI'))
  writeFileSync(join(dir, 'file'), 'local')
  assert.equal(await run(join(dir, 'file')), 'local')
})

test('a signal ends it while the reader is not reading', { timeout: 20_000 }, async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'o/large': noise('l', 10 * MIB) })
  const cacheDir = tempDir(t)
  for (const from of ['the bucket', 'the cache']) {
    const stop = new AbortController()
    const output = new Writable({ write: () => setTimeout(() => stop.abort(new Error(from)), 50) })
    const options = { source: `${dev.root}/o/large`, output, cacheDir, cacheMode: 'private' } as const
    await assert.rejects(cat(options, contextFor(dev, { signal: stop.signal })), new RegExp(from))
    const whole = { ...options, output: collector() }
    await cat(whole, contextFor(dev))
  }
})

test('the limits of the cache hold for a single object too', async (t) => {
  const dev = await withDevServer(t)
  dev.seed({ 'o/a': noise('a', 5000) })
  const options = { source: `${dev.root}/o/a`, output: collector(), cacheMode: 'private' } as const
  const limited = { ...options, cacheDir: tempDir(t), maxSize: { bytes: 4000 } }
  await assert.rejects(cat(limited, contextFor(dev)), (e) => isLongshoreError(e, 'OVER_LIMIT'))
  assert.equal(limited.output.bytes().length, 0)
})
