import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { crc32 } from '../../src/checksum/crc32.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { listObjects } from '../../src/s3/list.ts'
import type { ObjectStore, UploadedPart } from '../../src/s3/store.ts'

/**
 * The contract of src/s3/store.ts, promised by every store: the dev server's and the real servers' buckets, and
 * folders. `open` gives an empty store for one test, or undefined when it has skipped it.
 */
export function storeContract(about: {
  name: string
  open: (t: TestContext) => Promise<ObjectStore | undefined>
}): void {
  const promise = (what: string, body: (store: ObjectStore) => Promise<void>) =>
    test(`${about.name}: ${what}`, async (t) => {
      const store = await about.open(t)
      if (store !== undefined) await body(store)
    })

  promise('what was put is listed, headed and read back', async (store) => {
    const body = randomBytes(10_000)
    const put = await store.put({ key: 'a/b.bin', body, crc32: crc32(body) })
    assert.equal(put.status, 'written')
    const listed = await keys(store, '')
    assert.deepEqual(listed, ['a/b.bin'])
    const info = await store.head('a/b.bin')
    assert.equal(info?.size, 10_000)
    assert.ok(put.status === 'written' && info?.etag === put.etag)
    const into = Buffer.alloc(10_000)
    const got = await store.getInto({ key: 'a/b.bin', offset: 0, size: 10_000, etag: info.etag }, into)
    assert.deepEqual(into, body)
    assert.equal(got.check, store.kind === 's3' ? 'crc32' : 'size')
    const range = Buffer.alloc(100)
    await store.getInto({ key: 'a/b.bin', offset: 9_900, size: 10_000, etag: '' }, range)
    assert.deepEqual(range, body.subarray(9_900))
  })

  promise('an empty object is an object', async (store) => {
    await store.put({ key: 'empty', body: Buffer.alloc(0) })
    const info = await store.head('empty')
    assert.equal(info?.size, 0)
    await store.getInto({ key: 'empty', offset: 0, size: 0, etag: info.etag }, Buffer.alloc(0))
    assert.deepEqual((await store.getDocument('empty', { maxBytes: 10 }))?.bytes, Buffer.alloc(0))
  })

  promise('a missing key is undefined, and removing it is no error', async (store) => {
    assert.equal(await store.head('no'), undefined)
    assert.equal(await store.getDocument('no/such', { maxBytes: 10 }), undefined)
    await store.remove(['no'])
    await assert.rejects(
      store.getInto({ key: 'no', offset: 0, size: 1, etag: '' }, Buffer.alloc(1)),
      (error) => isLongshoreError(error, 'NOT_FOUND') || isLongshoreError(error, 'SOURCE_CHANGED'),
    )
  })

  promise('an object that changed since it was listed is not read', async (store) => {
    await store.put({ key: 'k', body: Buffer.from('one') })
    const [listed] = await all(store, '')
    assert.ok(listed)
    await store.put({ key: 'k', body: Buffer.from('two') })
    const request = { key: 'k', offset: 0, size: 3, etag: listed.etag }
    await assert.rejects(store.getInto(request, Buffer.alloc(3)), { code: 'SOURCE_CHANGED' })
    await store.put({ key: 'k', body: Buffer.from('longer') })
    await assert.rejects(store.getInto({ ...request, etag: '' }, Buffer.alloc(3)), { code: 'SOURCE_CHANGED' })
    const part = { key: 'k', offset: 1, size: 3, etag: '' }
    await assert.rejects(store.getInto(part, Buffer.alloc(2)), { code: 'SOURCE_CHANGED' })
  })

  promise('of many writers that want a key absent, one gets it and the others are told', async (store) => {
    const bodies = Array.from({ length: 6 }, (_, i) => Buffer.from(`writer ${i}`))
    const outcomes = await Promise.all(
      bodies.map((body) => store.put({ key: 'log/1', body, condition: 'absent' })),
    )
    assert.equal(outcomes.filter((o) => o.status === 'written').length, 1)
    const winner = bodies[outcomes.findIndex((o) => o.status === 'written')]
    assert.deepEqual((await store.getDocument('log/1', { maxBytes: 100 }))?.bytes, winner)
  })

  promise('a put with an ETag replaces only what it has seen', async (store) => {
    const first = await store.put({ key: 'k', body: Buffer.from('1') })
    assert.ok(first.status === 'written')
    const second = await store.put({ key: 'k', body: Buffer.from('2'), condition: { etag: first.etag } })
    assert.equal(second.status, 'written')
    const late = await store.put({ key: 'k', body: Buffer.from('3'), condition: { etag: first.etag } })
    assert.deepEqual(late, { status: 'exists' })
    assert.equal((await store.getDocument('k', { maxBytes: 9 }))?.bytes.toString(), '2')
  })

  promise('a document over its limit is refused', async (store) => {
    await store.put({ key: 'd', body: Buffer.alloc(100) })
    await assert.rejects(store.getDocument('d', { maxBytes: 99 }), { code: 'INTEGRITY' })
  })

  promise('one level is listed with its folders', async (store) => {
    for (const key of ['p/a', 'p/q/b', 'p/q/c', 'pp']) await store.put({ key, body: Buffer.from('x') })
    const objects: string[] = []
    const folders: string[] = []
    for await (const page of store.listPages({ prefix: 'p/', delimiter: '/' })) {
      objects.push(...page.objects.map((o) => o.key))
      folders.push(...page.folders)
    }
    assert.deepEqual([objects, folders], [['p/a'], ['p/q/']])
    assert.deepEqual(await keys(store, 'p/q/'), ['p/q/b', 'p/q/c'])
    assert.deepEqual(await keys(store, 'nothing/here/'), [])
    assert.deepEqual(await keys(store, 'p/', 'p/a'), ['p/q/b', 'p/q/c'])
  })

  promise('keys with blanks, percent signs, plus and other scripts come back as they are', async (store) => {
    const odd = ['a b.txt', 'a%20b', 'a+b', 'ü/日本.jpg', "q'(1)!*", 'x&y=<z>"', 'emoji-😀', 'tab\there']
    for (const key of odd) await store.put({ key, body: Buffer.from(key) })
    assert.deepEqual(await keys(store, ''), [...odd].sort())
    for (const key of odd) {
      assert.equal((await store.getDocument(key, { maxBytes: 99 }))?.bytes.toString(), key)
    }
    await store.remove(odd)
    assert.deepEqual(await keys(store, ''), [])
  })

  promise('an upload in parts appears whole, at its end', async (store) => {
    const parts = [randomBytes(5 << 20), randomBytes(5 << 20), randomBytes(1000)]
    const key = 'big/one'
    const uploadId = await store.createUpload(key)
    const open = []
    for await (const upload of store.listUploads('big/')) open.push(upload.uploadId)
    assert.deepEqual(open, [uploadId])
    const done = await putParts(store, key, uploadId, parts)
    assert.equal(await store.head(key), undefined)
    const listed = await store.listParts(key, uploadId)
    assert.deepEqual(
      listed?.map((p) => [p.partNumber, p.etag, p.size]),
      done.map((p) => [p.partNumber, p.etag, p.size]),
    )
    const size = (10 << 20) + 1000
    const outcome = await store.completeUpload({ key, uploadId, parts: done, size, condition: 'absent' })
    assert.equal(outcome.status, 'written')
    const info = await store.head(key)
    assert.equal(info?.size, size)
    const into = Buffer.alloc(size)
    await store.getInto({ key, offset: 0, size, etag: info.etag }, into)
    assert.ok(into.equals(Buffer.concat(parts)))
    assert.deepEqual(await keys(store, ''), [key])
  })

  promise('completing an upload where the key was taken meanwhile writes nothing', async (store) => {
    const body = randomBytes(2000)
    const uploadId = await store.createUpload('k')
    const parts = await putParts(store, 'k', uploadId, [body])
    await store.put({ key: 'k', body: Buffer.from('theirs') })
    const outcome = await store.completeUpload({ key: 'k', uploadId, parts, size: 2000, condition: 'absent' })
    assert.deepEqual(outcome, { status: 'exists' })
    assert.equal((await store.getDocument('k', { maxBytes: 99 }))?.bytes.toString(), 'theirs')
  })

  promise('an aborted upload is gone, twice aborted too', async (store) => {
    const uploadId = await store.createUpload('k')
    await putParts(store, 'k', uploadId, [randomBytes(10)])
    await store.abortUpload('k', uploadId)
    await store.abortUpload('k', uploadId)
    assert.equal(await store.listParts('k', uploadId), undefined)
    const late = {
      key: 'k',
      uploadId,
      partNumber: 2,
      offset: 10,
      body: Buffer.from('x'),
      crc32: crc32(Buffer.from('x')),
    }
    await assert.rejects(store.putPart(late), { code: 'NOT_FOUND' })
    assert.deepEqual(await keys(store, ''), [])
  })

  promise('a stream of unknown length is stored whole', async (store) => {
    const chunks = Array.from({ length: 20 }, () => randomBytes(1 << 20))
    const outcome = await store.putStream('s', Readable.from(chunks))
    assert.equal(outcome.status, 'written')
    const info = await store.head('s')
    const into = Buffer.alloc(20 << 20)
    await store.getInto({ key: 's', offset: 0, size: into.length, etag: info?.etag ?? '' }, into)
    assert.ok(into.equals(Buffer.concat(chunks)))
  })

  promise('an aborted signal rejects with its reason', async (store) => {
    await store.put({ key: 'k', body: Buffer.from('1') })
    const signal = AbortSignal.abort(new Error('stop it'))
    const request = { key: 'k', offset: 0, size: 1, etag: '' }
    await assert.rejects(store.getInto(request, Buffer.alloc(1), { signal }), { message: 'stop it' })
    await assert.rejects(store.put({ key: 'k', body: Buffer.from('2') }, { signal }), { message: 'stop it' })
    await assert.rejects(store.head('k', { signal }), { message: 'stop it' })
    await assert.rejects(all(store, '', undefined, signal), { message: 'stop it' })
  })
}

async function putParts(
  store: ObjectStore,
  key: string,
  uploadId: string,
  bodies: Buffer[],
): Promise<UploadedPart[]> {
  const parts: UploadedPart[] = []
  let offset = 0
  for (const [i, body] of bodies.entries()) {
    parts.push(await store.putPart({ key, uploadId, partNumber: i + 1, offset, body, crc32: crc32(body) }))
    offset += body.length
  }
  return parts
}

async function all(store: ObjectStore, prefix: string, startAfter?: string, signal?: AbortSignal) {
  const found = []
  for await (const object of listObjects(store, { prefix, startAfter, signal })) found.push(object)
  return found
}

async function keys(store: ObjectStore, prefix: string, startAfter?: string): Promise<string[]> {
  return (await all(store, prefix, startAfter)).map((o) => o.key).sort()
}
