import assert from 'node:assert/strict'
import { readdir, rename, rm, symlink, truncate, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32, crcHex } from '../../src/checksum/crc32.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { commitCheckpoint } from '../../src/sync/commit.ts'
import { probeConditionalWrites } from '../../src/sync/probe.ts'
import { findCommitted, uploadCheckpoint } from '../../src/sync/upload.ts'
import { abortDeadUploads } from '../../src/sync/upload-abort.ts'
import { partSizeFor } from '../../src/sync/upload-parts.ts'
import { memoryBucket, type Turn } from '../support/memory-store.ts'
import { memoryPlace, openWriter, PREFIX, SIGNAL } from '../support/run-log.ts'
import { makeCheckpoint, stageFile } from '../support/staged.ts'
import { tempDir } from '../support/tmp.ts'

const MIB = 1024 * 1024
const options = { signal: SIGNAL, multipartAbove: 1024, partSize: 5 * MIB, filesAtOnce: 1 }
const large = Buffer.alloc(12 * MIB, 'a large file ')

test('files go to their own paths, links into the record, and the record tells size, mode and CRC-32', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const writer = await openWriter(bucket, dir)
  const staged = await makeCheckpoint(dir, {
    name: 'c1',
    ordinal: 1,
    files: { 'c1/a b\n=ü': 'odd name', 'c1/empty': '', 'c1/large': large },
  })
  staged.files.push({ ...(await stageFile(dir, 'c1/empty')), path: 'c1/last', symlink: 'large', size: 0 })
  const uploaded = await uploadCheckpoint(writer, staged, options)
  assert.deepEqual(uploaded.files[0], {
    path: 'c1/a b\n=ü',
    size: 8,
    mode: 0o644,
    crc32: crcHex(crc32(Buffer.from('odd name'))),
  })
  assert.deepEqual(uploaded.files[3], { path: 'c1/last', mode: 0o644, symlink: 'large' })
  assert.ok(bucket.objects.get(`${PREFIX}c1/large`)?.body.equals(large))
  assert.equal(bucket.objects.get(`${PREFIX}c1/large`)?.multipart, true)
  assert.equal(bucket.objects.get(`${PREFIX}c1/empty`)?.body.length, 0)
})

test('something else at a path is left as it is: the file goes to a key of its own', async (t) => {
  for (const checksums of [true, false]) {
    const dir = tempDir(t)
    const bucket = memoryBucket()
    bucket.ignores.checksums = !checksums
    const theirs = { body: Buffer.from('theirs'), etag: '"x"', modified: 0, multipart: false }
    for (const name of ['c1/small', 'c1/large']) bucket.objects.set(PREFIX + name, theirs)
    const writer = await openWriter(bucket, dir)
    const files = { 'c1/small': 'mine!!', 'c1/large': large }
    const staged = await makeCheckpoint(dir, { name: 'c1', ordinal: 1, files })
    const uploaded = await uploadCheckpoint(writer, staged, options)
    for (const file of uploaded.files) {
      assert.ok('crc32' in file && file.key?.startsWith(`.longshore/objects/${writer.own}-`))
      const body = bucket.objects.get(PREFIX + file.key)?.body
      assert.ok(body?.equals(Buffer.from(files[file.path as keyof typeof files])))
      assert.equal(bucket.objects.get(PREFIX + file.path)?.body.toString(), 'theirs')
    }
  }
})

test('the same bytes left by an attempt that died are taken over, when the store proves them', async (t) => {
  const bucket = memoryBucket()
  const make = async (dir: string) =>
    makeCheckpoint(dir, { name: 'c1', ordinal: 1, files: { 'c1/small': 'same', 'c1/large': large } })
  const first = tempDir(t)
  await uploadCheckpoint(await openWriter(bucket, first), await make(first), options)
  const second = tempDir(t)
  const again = await uploadCheckpoint(await openWriter(bucket, second), await make(second), options)
  assert.deepEqual(again.uploaded, { files: 0, bytes: 0 })
  assert.ok(again.files.every((file) => 'crc32' in file && file.key === undefined))
})

test('a store whose Complete overwrites is never asked to complete at a path that others could have', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  bucket.ignores.completeCondition = true
  const completed: string[] = []
  const turn: Turn = (moment, call) => {
    if (call.name === 'complete' && moment === 'before') completed.push(call.key)
    return undefined
  }
  const writer = await openWriter(bucket, dir, { turn, conditional: 'put' })
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': large, 'c/y': 'y' } })
  const uploaded = await uploadCheckpoint(writer, staged, options)
  assert.ok(completed.length === 1 && completed[0]?.startsWith(`${PREFIX}.longshore/objects/`))
  assert.equal(uploaded.files[1] && 'key' in uploaded.files[1], false)
})

test('without any conditional writes a key that is taken is seen before it is written', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  bucket.ignores.putCondition = true
  bucket.ignores.completeCondition = true
  const theirs = { body: Buffer.from('theirs'), etag: '"x"', modified: 0, multipart: false }
  bucket.objects.set(`${PREFIX}c/x`, theirs)
  const writer = await openWriter(bucket, dir, { conditional: 'none' })
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': 'mine', 'c/y': large } })
  await commitCheckpoint(writer, await uploadCheckpoint(writer, staged, options), options)
  assert.equal(bucket.objects.get(`${PREFIX}c/x`)?.body.toString(), 'theirs')
  assert.equal((await openWriter(bucket, dir, { conditional: 'none' })).own, 2)
})

test('a multipart upload that was cut off goes on with the parts that are there', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  let sent = 0
  let dead = false
  const dying: Turn = (moment, call) => {
    if (call.name === 'putPart' && moment === 'after' && ++sent === 2) dead = true
    if (dead) throw new Error('killed')
    return undefined
  }
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': large } })
  const writer = await openWriter(bucket, dir, { turn: dying })
  await assert.rejects(uploadCheckpoint(writer, staged, options), /killed/)
  assert.equal(bucket.uploads.size, 1)

  let resent = 0
  const counting: Turn = (moment, call) => {
    if (call.name === 'putPart' && moment === 'after') resent++
    return undefined
  }
  const next = await openWriter(bucket, dir, { turn: counting })
  await uploadCheckpoint(next, staged, options)
  assert.equal(resent, 2, 'of three parts one was noted: the other two are sent')
  assert.equal(bucket.uploads.size, 0)
  assert.ok(bucket.objects.get(`${PREFIX}c/x`)?.body.equals(large))
})

test('a journal that a crash cut short, or that is about another file, is not believed', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const failing: Turn = (moment, call) => {
    if (call.name === 'complete' && moment === 'before') throw new Error('killed')
    return undefined
  }
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': large } })
  const writer = await openWriter(bucket, dir, { turn: failing })
  await assert.rejects(uploadCheckpoint(writer, staged, options), /killed/)
  const folder = join(dir, '.longshore', 'journal')
  const [name = ''] = await readdir(folder)
  await truncate(join(folder, name), 150)
  const next = await openWriter(bucket, dir)
  await uploadCheckpoint(next, staged, options)
  assert.ok(bucket.objects.get(`${PREFIX}c/x`)?.body.equals(large))
})

test('after a complete drain no multipart upload of ours is open; a stranger’s young one stays', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const failing: Turn = (_, call) => {
    if (call.name === 'putPart') throw new Error('cut')
    return undefined
  }
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': large } })
  const writer = await openWriter(bucket, dir, { turn: failing })
  await assert.rejects(uploadCheckpoint(writer, staged, options), /cut/)
  const stranger = { key: `${PREFIX}other`, parts: new Map(), initiated: Date.now() }
  const old = { ...stranger, initiated: Date.now() - 8 * 24 * 3600 * 1000 }
  bucket.uploads.set('young', stranger).set('old', old)
  assert.deepEqual(await abortDeadUploads(writer, options), { aborted: 1 })
  assert.equal(bucket.uploads.size, 2, 'ours may be continued')
  assert.deepEqual(await abortDeadUploads(writer, { ...options, drained: true }), { aborted: 1 })
  assert.deepEqual([...bucket.uploads.keys()], ['young'])
})

test('the upload of a start probe that was killed is aborted at the next start, a rival’s is not', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const killed: Turn = (_, call) => {
    if (call.name === 'putPart' || call.name === 'abortUpload') throw new Error('killed')
    return undefined
  }
  for (const folder of [dir, tempDir(t)]) {
    const probe = { signal: SIGNAL, unsafeSingleWriter: false, stateDir: join(folder, '.longshore') }
    await assert.rejects(probeConditionalWrites(memoryPlace(bucket, killed), probe), /killed/)
  }
  assert.equal(bucket.uploads.size, 2)
  const [, rival = ''] = bucket.uploads.keys()
  const writer = await openWriter(bucket, dir)
  assert.deepEqual(await abortDeadUploads(writer, options), { aborted: 1 })
  assert.deepEqual([...bucket.uploads.keys()], [rival])
  const open = bucket.uploads.get(rival)
  if (open) open.initiated = Date.now() - 2 * 3600 * 1000
  assert.deepEqual(await abortDeadUploads(writer, options), { aborted: 1 }, 'nobody probes for hours')
})

test('a file that is no longer what was staged is named, and nothing is committed', async (t) => {
  const changes: Record<string, (path: string, staged: string) => Promise<void>> = {
    'same-size edit': (path) => writeFile(path, 'B'.repeat(9)),
    truncated: (path) => truncate(path, 3),
    grown: (path) => writeFile(path, 'more', { flag: 'a' }),
    'stage gone': (_, staged) => unlink(staged),
    'stage replaced': async (path, staged) => {
      await writeFile(`${path}.new`, 'C'.repeat(9))
      await rename(`${path}.new`, staged)
    },
  }
  for (const [what, change] of Object.entries(changes)) {
    const dir = tempDir(t)
    const writer = await openWriter(memoryBucket(), dir)
    const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': 'A'.repeat(9) } })
    await change(join(dir, 'c/x'), staged.files[0]?.staged ?? '')
    await assert.rejects(
      uploadCheckpoint(writer, staged, options),
      (error) => isLongshoreError(error, 'SOURCE_CHANGED') && error.path === 'c/x',
      what,
    )
    assert.equal(writer.pins.size, 0)
  }
})

test('an edit that restores size and time is found by the bytes, also in the middle of the upload', async (t) => {
  for (const size of [100, 12 * MIB]) {
    const dir = tempDir(t)
    const bucket = memoryBucket()
    const path = join(dir, 'c/x')
    const staged = await makeCheckpoint(dir, {
      name: 'c',
      ordinal: 1,
      files: { 'c/x': Buffer.alloc(size, 'A') },
    })
    const stamp = new Date(Math.floor(Date.now() / 1000) * 1000)
    await utimes(path, stamp, stamp)
    staged.files = [await stageFile(dir, 'c/x')]
    let edited = false
    const turn: Turn = async (_, call) => {
      if (edited || (call.name !== 'put' && call.name !== 'putPart') || call.key !== `${PREFIX}c/x`)
        return undefined
      edited = true
      await writeFile(path, Buffer.alloc(size, 'B'))
      await utimes(path, stamp, stamp)
      return undefined
    }
    const writer = await openWriter(bucket, dir, { turn })
    await assert.rejects(uploadCheckpoint(writer, staged, options), (e) =>
      isLongshoreError(e, 'SOURCE_CHANGED'),
    )
  }
})

test('a rotation that only unlinks the original while it goes up is no change', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': large, 'c/y': 'y' } })
  const turn: Turn = async (moment, call) => {
    if (call.name === 'putPart' && moment === 'before')
      await rm(join(dir, 'c'), { recursive: true, force: true })
    return undefined
  }
  const writer = await openWriter(bucket, dir, { turn })
  await uploadCheckpoint(writer, staged, options)
  assert.ok(bucket.objects.get(`${PREFIX}c/x`)?.body.equals(large))
})

test('a checkpoint that is committed is known after a restart, until one of its files changes', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const writer = await openWriter(bucket, dir)
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': 'x', 'c/y': 'y' } })
  const head = await commitCheckpoint(writer, await uploadCheckpoint(writer, staged, options), options)
  const next = await openWriter(bucket, dir)
  assert.equal(findCommitted(next, staged)?.seq, head.seq)
  await writeFile(join(dir, 'c/x'), 'X')
  const changed = { ...staged, files: [await stageFile(dir, 'c/x'), await stageFile(dir, 'c/y')] }
  assert.equal(findCommitted(next, changed), undefined)
  const uploaded = await uploadCheckpoint(next, changed, options)
  assert.deepEqual(uploaded.kept, { files: 1, bytes: 1 })
})

test('a link that leaves the folder is refused before anything is sent', async (t) => {
  const dir = tempDir(t)
  const writer = await openWriter(memoryBucket(), dir)
  const staged = await makeCheckpoint(dir, { name: 'c', ordinal: 1, files: { 'c/x': 'x' } })
  await symlink('../../etc/passwd', join(dir, 'c/link'))
  staged.files.push({
    ...(await stageFile(dir, 'c/x')),
    path: 'c/link',
    size: 0,
    symlink: '../../etc/passwd',
  })
  await assert.rejects(uploadCheckpoint(writer, staged, options), /leaves the folder/)
})

test('parts grow so that ten thousand of them hold the file', () => {
  assert.equal(partSizeFor(1, 1), 5 * MIB)
  assert.equal(partSizeFor(100 * MIB, 16 * MIB), 16 * MIB)
  const size = 5 * 1024 ** 4
  assert.ok(Math.ceil(size / partSizeFor(size, 16 * MIB)) <= 10_000)
})
