import assert from 'node:assert/strict'
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { startDevServer } from '../../src/devserver/server.ts'
import { openClient } from '../conformance/raw-client.ts'
import { tempDir } from '../support/tmp.ts'

const PART = Buffer.alloc(2 * 1024 * 1024, 'part ')

async function start(t: TestContext, dir: string) {
  const server = await startDevServer({ dir, buckets: ['test'], minPartSize: 1 })
  const raw = openClient({
    endpoint: server.url,
    bucket: 'test',
    region: 'us-east-1',
    accessKeyId: 'longshore',
    secretAccessKey: 'longshore-secret',
  })
  const close = async () => {
    raw.close()
    await server.close()
  }
  t.after(close)
  return { server, raw, close }
}

type Raw = Awaited<ReturnType<typeof start>>['raw']

async function createUpload(raw: Raw, key: string): Promise<string> {
  const { body } = await raw.send({ method: 'POST', key, query: { uploads: '' } })
  return /<UploadId>([^<]+)</.exec(body.toString())?.[1] ?? ''
}

async function putPart(raw: Raw, key: string, uploadId: string, number: number): Promise<string> {
  const query = { uploadId, partNumber: String(number) }
  const { headers } = await raw.send({ method: 'PUT', key, query, body: PART })
  return String(headers.etag)
}

async function complete(raw: Raw, key: string, uploadId: string, etags: string[]): Promise<number> {
  const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
  const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
  return (await raw.send({ method: 'POST', key, query: { uploadId }, body })).status
}

test('objects, metadata and open uploads are there again after a restart', async (t) => {
  const dir = tempDir(t)
  const first = await start(t, dir)
  const keys = ['../../etc/passwd', 'a', 'a/b', '//', 'ü\u{1f4be}', 'x'.repeat(1024)]
  for (const key of keys) {
    const headers = { 'x-amz-meta-name': 'kept' }
    assert.equal((await first.raw.send({ method: 'PUT', key, body: key, headers })).status, 200)
  }
  const done = await createUpload(first.raw, 'multipart')
  const etags = [
    await putPart(first.raw, 'multipart', done, 1),
    await putPart(first.raw, 'multipart', done, 2),
  ]
  assert.equal(await complete(first.raw, 'multipart', done, etags), 200)
  const open = await createUpload(first.raw, 'open')
  const etag = await putPart(first.raw, 'open', open, 1)
  await first.close()
  // What a kill in the middle of a request leaves.
  writeFileSync(path.join(dir, 'test', 'tmp', 'half'), 'half')

  const { server, raw } = await start(t, dir)
  assert.deepEqual(new Set(server.objects.keys('test')), new Set([...keys, 'multipart']))
  for (const key of keys) assert.equal(server.objects.get('test', key)?.toString(), key)
  assert.equal((await raw.send({ method: 'HEAD', key: 'a/b' })).headers['x-amz-meta-name'], 'kept')
  assert.ok(Buffer.concat([PART, PART]).equals((await raw.send({ key: 'multipart' })).body))
  assert.deepEqual(server.objects.uploads('test'), [{ key: 'open', uploadId: open }])
  assert.equal(await complete(raw, 'open', open, [etag]), 200)
  assert.deepEqual(readdirSync(path.join(dir, 'test', 'tmp')), [])
})

test('no key reaches a file outside the folder', async (t) => {
  const dir = tempDir(t)
  const { raw } = await start(t, path.join(dir, 'buckets'))
  for (const key of ['../../../escaped', '/../../escaped', '..'])
    assert.equal((await raw.send({ method: 'PUT', key, body: 'x' })).status, 200)
  assert.deepEqual(readdirSync(dir), ['buckets'])
  assert.deepEqual(readdirSync(path.join(dir, 'buckets')), ['test'])
})

test('an object that is replaced while it is read is read to its end', async (t) => {
  const dir = tempDir(t)
  const { server, raw } = await start(t, dir)
  const id = await createUpload(raw, 'key')
  const etags = [await putPart(raw, 'key', id, 1), await putPart(raw, 'key', id, 2)]
  assert.equal(await complete(raw, 'key', id, etags), 200)
  server.faults.add({ match: { method: 'GET' }, do: { kind: 'throttle', bytesPerSecond: 20_000_000 } })
  const reading = raw.send({ key: 'key' })
  while (server.requests.count('GetObject') === 0) await new Promise((resolve) => setTimeout(resolve, 2))
  server.objects.put('test', 'key', 'replaced')
  assert.ok(Buffer.concat([PART, PART]).equals((await reading).body))
  assert.equal((await raw.send({ key: 'key' })).body.toString(), 'replaced')
  assert.equal(existsSync(path.join(dir, 'test', 'parts', id)), false)
})

test('a refused body leaves no file', async (t) => {
  const dir = tempDir(t)
  const { raw } = await start(t, dir)
  const headers = { 'content-md5': Buffer.alloc(16).toString('base64') }
  assert.equal((await raw.send({ method: 'PUT', key: 'x', body: PART, headers })).status, 400)
  assert.deepEqual(readdirSync(path.join(dir, 'test', 'tmp')), [])
})
