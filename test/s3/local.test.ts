import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { localStore } from '../../src/s3/local-store.ts'
import type { ListPage } from '../../src/s3/store.ts'
import { tempDir } from '../support/tmp.ts'

async function list(root: string, prefix = '') {
  const pages: ListPage[] = []
  for await (const page of localStore(root).listPages({ prefix })) pages.push(page)
  return {
    keys: pages.flatMap((p) => p.objects.map((o) => o.key)).sort(),
    skipped: Object.fromEntries(pages.flatMap((p) => p.skipped ?? []).map((s) => [s.key, s.reason])),
  }
}

test('what can be no object is listed with its reason, never left out silently', async (t) => {
  const root = tempDir(t)
  const outside = tempDir(t)
  writeFileSync(join(outside, 'secret'), 'x')
  mkdirSync(join(root, 'd'))
  writeFileSync(join(root, 'd', 'file'), 'x')
  symlinkSync('d/file', join(root, 'inside'))
  symlinkSync(join(outside, 'secret'), join(root, 'outside'))
  symlinkSync('nowhere', join(root, 'dangling'))
  symlinkSync('loop', join(root, 'loop'))
  symlinkSync('d', join(root, 'folder'))
  execFileSync('mkfifo', [join(root, 'pipe')])
  writeFileSync(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]), 'x')
  writeFileSync(join(root, 'fine-�'), 'x')
  const { keys, skipped } = await list(root)
  assert.deepEqual(keys, ['d/file', 'fine-�', 'inside'])
  assert.deepEqual(skipped, {
    outside: 'a link that leads out of the folder',
    dangling: 'a link to nothing',
    loop: 'a link that leads back to itself',
    folder: 'a link to a folder',
    pipe: 'a pipe, not a file',
    'bad-�': 'the name is not UTF-8',
  })
})

test('a link that leads out of the folder is not read, by whatever way its key came', async (t) => {
  const root = tempDir(t)
  const outside = tempDir(t)
  writeFileSync(join(outside, 'secret'), 'x')
  symlinkSync(join(outside, 'secret'), join(root, 'k'))
  await assert.rejects(localStore(root).getDocument('k', { maxBytes: 9 }), { code: 'ACCESS_DENIED' })
})

test('keys that would leave the folder are refused', async (t) => {
  const root = tempDir(t)
  const store = localStore(join(root, 'store'))
  for (const key of ['../x', 'a/../../x', '/etc/passwd', 'a//b', '.', 'a/', '', 'a\0b', 'n'.repeat(256)]) {
    await assert.rejects(store.put({ key, body: Buffer.from('x') }), { code: 'UNSUPPORTED' })
    await assert.rejects(store.head(key), { code: 'UNSUPPORTED' })
  }
  assert.deepEqual(readdirSync(root), [])
})

test("Longshore's own folder is not listed with the data, but when asked for", async (t) => {
  const root = tempDir(t)
  const store = localStore(root)
  await store.put({ key: '.longshore/log/1', body: Buffer.from('x') })
  await store.put({ key: 'data/.longshore', body: Buffer.from('x') })
  assert.deepEqual((await list(root)).keys, ['data/.longshore'])
  assert.deepEqual((await list(root, '.longshore/log/')).keys, ['.longshore/log/1'])
})

test('a folder that is not there is an error, an empty prefix in it is not', async (t) => {
  const root = tempDir(t)
  await assert.rejects(list(join(root, 'no')), { code: 'NOT_FOUND' })
  writeFileSync(join(root, 'file'), '')
  await assert.rejects(list(join(root, 'file')), { code: 'BAD_URI', message: /not a folder/ })
  assert.deepEqual((await list(root, 'no/such/')).keys, [])
  assert.deepEqual((await list(join(root, 'no'), 'x/')).keys, [])
})

test('a file and a folder that want one name are a conflict, named', async (t) => {
  const store = localStore(tempDir(t))
  await store.put({ key: 'a', body: Buffer.from('x') })
  await assert.rejects(store.put({ key: 'a/b', body: Buffer.from('x') }), { code: 'KEY_CONFLICT' })
})

test('a failed or refused put leaves nothing behind', async (t) => {
  const root = tempDir(t)
  const store = localStore(root)
  await store.put({ key: 'k', body: Buffer.from('1'), condition: 'absent' })
  await store.put({ key: 'k', body: Buffer.from('2'), condition: 'absent' })
  const failing = async function* () {
    yield Buffer.from('half')
    throw new Error('the source broke')
  }
  const { Readable } = await import('node:stream')
  await assert.rejects(store.putStream('s', Readable.from(failing())))
  assert.deepEqual(readdirSync(join(root, '.longshore', 'tmp')), [])
  assert.equal(existsSync(join(root, 's')), false)
})

test('parts whose bytes a power cut took are not trusted when an upload goes on', async (t) => {
  const root = tempDir(t)
  const store = localStore(root)
  const uploadId = await store.createUpload('k')
  for (const [i, text] of ['aaaa', 'bbbb'].entries()) {
    const body = Buffer.from(text)
    await store.putPart({ key: 'k', uploadId, partNumber: i + 1, offset: i * 4, body, crc32: crc32(body) })
  }
  truncateSync(join(root, '.longshore', 'uploads', uploadId, 'data'), 6)
  assert.deepEqual(
    (await store.listParts('k', uploadId))?.map((p) => p.partNumber),
    [1],
  )
})

test('an upload is made aside: a kill in the middle leaves nothing among the uploads, and a later run sweeps it', async (t) => {
  const root = tempDir(t)
  const killed = join(root, '.longshore', 'tmp', 'a'.repeat(24))
  const recent = join(root, '.longshore', 'tmp', 'b'.repeat(24))
  for (const folder of [killed, recent]) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'data'), 'x')
  }
  const old = new Date(Date.now() - 25 * 60 * 60 * 1000)
  utimesSync(killed, old, old)
  const seen = new Set<string>()
  const uploads = join(root, '.longshore', 'uploads')
  mkdirSync(uploads)
  const watcher = watch(uploads, (_event, name) => seen.add(String(name)))
  t.after(() => watcher.close())
  const store = localStore(root)
  const uploadId = await store.createUpload('k')
  await new Promise((resolve) => setTimeout(resolve, 50))
  assert.deepEqual([...seen], [uploadId])
  assert.deepEqual(readdirSync(join(uploads, uploadId)).sort(), ['data', 'upload.json'])
  assert.deepEqual(readdirSync(join(root, '.longshore', 'tmp')), ['b'.repeat(24)])
})

test('an upload that can not be made whole leaves no folder of it', async (t) => {
  const root = tempDir(t)
  mkdirSync(join(root, '.longshore'))
  writeFileSync(join(root, '.longshore', 'uploads'), 'a file where the folder has to be')
  await assert.rejects(localStore(root).createUpload('k'))
  assert.deepEqual(readdirSync(join(root, '.longshore', 'tmp')), [])
})

test('an upload killed after its object was placed is found to be done', async (t) => {
  const root = tempDir(t)
  const store = localStore(root)
  const body = Buffer.from('whole')
  const uploadId = await store.createUpload('k')
  const part = await store.putPart({ key: 'k', uploadId, partNumber: 1, offset: 0, body, crc32: crc32(body) })
  const folder = join(root, '.longshore', 'uploads', uploadId)
  renameSync(join(folder, 'data'), join(root, 'k'))
  const outcome = await store.completeUpload({ key: 'k', uploadId, parts: [part], size: 5 })
  assert.equal(outcome.status, 'written')
  assert.equal(existsSync(folder), false)
})

test('completing with a part that is not the one uploaded is refused', async (t) => {
  const store = localStore(tempDir(t))
  const body = Buffer.from('whole')
  const uploadId = await store.createUpload('k')
  const part = await store.putPart({ key: 'k', uploadId, partNumber: 1, offset: 0, body, crc32: crc32(body) })
  const request = { key: 'k', uploadId, parts: [part], size: 5 }
  await assert.rejects(store.completeUpload({ ...request, parts: [{ ...part, etag: '"x"' }] }), {
    code: 'SERVER',
  })
  await assert.rejects(store.completeUpload({ ...request, size: 6 }), { code: 'SERVER' })
  assert.equal((await store.completeUpload(request)).status, 'written')
})

test('a tree that changes while it is listed gives what is still there', async (t) => {
  const root = tempDir(t)
  for (const d of ['a', 'b', 'c']) {
    mkdirSync(join(root, d))
    writeFileSync(join(root, d, 'f'), 'x')
  }
  const pages = localStore(root).listPages({ prefix: '' })[Symbol.asyncIterator]()
  const first = pages.next()
  rmSync(join(root, 'b'), { recursive: true, force: true })
  const { value } = await first
  assert.ok(value?.objects.length >= 2)
})
