import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLongshoreError, LongshoreError } from '../../src/errors.ts'
import { logKey } from '../../src/manifest/checkpoint.ts'
import { SILENT } from '../../src/progress.ts'
import { commitCheckpoint } from '../../src/sync/commit.ts'
import { checkEpoch, type LogWriter } from '../../src/sync/epoch.ts'
import { openLog } from '../../src/sync/log.ts'
import { uploadCheckpoint } from '../../src/sync/upload.ts'
import { memoryBucket, type Turn } from '../support/memory-store.ts'
import { memoryPlace, openWriter, PREFIX, SIGNAL } from '../support/run-log.ts'
import { makeCheckpoint } from '../support/staged.ts'
import { tempDir } from '../support/tmp.ts'

const options = { signal: SIGNAL }

async function stageAndUpload(writer: LogWriter, dir: string, ordinal: number, pointers = {}) {
  const name = `c${ordinal}`
  const files = { [`${name}/data`]: `bytes ${ordinal}` }
  return uploadCheckpoint(writer, await makeCheckpoint(dir, { name, ordinal, files, pointers }), options)
}

test('each start is a new epoch, and what an older writer does next ends it', async (t) => {
  const bucket = memoryBucket()
  const [a, b] = [tempDir(t), tempDir(t)]
  const old = await openWriter(bucket, a)
  const uploaded = await stageAndUpload(old, a, 1)
  const young = await openWriter(bucket, b)
  assert.deepEqual([old.own, young.own], [1, 2])
  await commitCheckpoint(young, await stageAndUpload(young, b, 1), options)
  const superseded = (error: unknown) => isLongshoreError(error, 'SUPERSEDED') && error.exit === 6
  await assert.rejects(commitCheckpoint(old, uploaded, options), superseded)
  await assert.rejects(checkEpoch(old, options), superseded)
  await checkEpoch(young, options)
  const log = await openLog(memoryPlace(bucket), options)
  assert.deepEqual(
    [...log.commits.values()].map((head) => head.epoch),
    [2],
  )
})

test('a writer that only looks learns that it was overtaken', async (t) => {
  const bucket = memoryBucket()
  const old = await openWriter(bucket, tempDir(t))
  await checkEpoch(old, options)
  await openWriter(bucket, tempDir(t))
  await assert.rejects(
    checkEpoch(old, options),
    /another writer took over s3:\/\/memory\/runs\/r1\/ \(epoch 2 on test\)/,
  )
})

test('a commit whose answer was lost is found again, and counts once', async (t) => {
  const bucket = memoryBucket()
  const dir = tempDir(t)
  let lose = false
  const turn: Turn = (moment, call) => {
    if (lose && moment === 'after' && call.name === 'put') {
      lose = false
      throw new LongshoreError('TIMEOUT', 'no answer')
    }
    return undefined
  }
  const writer = await openWriter(bucket, dir, { turn })
  const first = await stageAndUpload(writer, dir, 1)
  const second = await stageAndUpload(writer, dir, 2)
  lose = true
  await assert.rejects(commitCheckpoint(writer, first, options), /no answer/)
  // Another record goes past the one whose fate is unknown.
  await commitCheckpoint(writer, second, options)
  const head = await commitCheckpoint(writer, first, options)
  assert.equal(head.seq, 2)
  const log = await openLog(memoryPlace(bucket), options)
  assert.deepEqual([...log.commits.values()].map((c) => c.name).sort(), ['c1', 'c2'])
})

test('a taken key that can not be read for a moment is looked at again, not written over', async (t) => {
  const bucket = memoryBucket()
  const dir = tempDir(t)
  let hidden = 0
  const writer = await openWriter(bucket, dir)
  const uploaded = await stageAndUpload(writer, dir, 1)
  const { engine } = writer
  const write = engine.writeDocument
  engine.writeDocument = async (...args) => (++hidden <= 3 ? { status: 'exists' } : write(...args))
  assert.equal((await commitCheckpoint(writer, uploaded, options)).seq, 2)
  assert.equal(hidden, 4)
})

test('pointers live in the record, are mirrored after it, and only the newest commit moves them', async (t) => {
  const bucket = memoryBucket()
  const dir = tempDir(t)
  const order: string[] = []
  const turn: Turn = (moment, call) => {
    if (moment === 'after' && call.name === 'put') order.push(call.key.slice(PREFIX.length))
    return undefined
  }
  const writer = await openWriter(bucket, dir, { turn })
  const first = await stageAndUpload(writer, dir, 1, { latest: 'c1' })
  const second = await stageAndUpload(writer, dir, 2, { latest: 'c2' })
  order.length = 0
  await commitCheckpoint(writer, second, options)
  assert.deepEqual(order, [logKey(2), 'latest'])
  await commitCheckpoint(writer, first, options)
  assert.equal(bucket.objects.get(`${PREFIX}latest`)?.body.toString(), 'c2')
})

test('a mirror that fails is a warning, and is made up for at the next commit', async (t) => {
  const bucket = memoryBucket()
  const dir = tempDir(t)
  let broken = true
  const turn: Turn = (_, call) => {
    if (broken && call.key === `${PREFIX}once`) throw new LongshoreError('ACCESS_DENIED', 'no')
    return undefined
  }
  const warnings: string[] = []
  const progress = { ...SILENT, warn: (message: string) => void warnings.push(message) }
  const writer = await openWriter(bucket, dir, { turn })
  const first = await stageAndUpload(writer, dir, 1, { once: 'c1' })
  await commitCheckpoint(writer, first, { ...options, progress })
  assert.match(warnings.join(), /once is not mirrored yet: no/)
  broken = false
  await commitCheckpoint(writer, await stageAndUpload(writer, dir, 2), { ...options, progress })
  assert.equal(bucket.objects.get(`${PREFIX}once`)?.body.toString(), 'c1')
})

test('a pointer is never mirrored over data that a checkpoint names, nor data put where pointers go', async (t) => {
  const bucket = memoryBucket()
  const dir = tempDir(t)
  const writer = await openWriter(bucket, dir)
  const data = await makeCheckpoint(dir, { name: 'a', ordinal: 1, files: { latest: 'data!' } })
  await commitCheckpoint(writer, await uploadCheckpoint(writer, data, options), options)
  await commitCheckpoint(writer, await stageAndUpload(writer, dir, 2, { latest: 'c2', other: 'c2' }), options)
  assert.equal(bucket.objects.get(`${PREFIX}latest`)?.body.toString(), 'data!')
  const more = await makeCheckpoint(dir, { name: 'b', ordinal: 3, files: { other: 'c2' } })
  const uploaded = await uploadCheckpoint(writer, more, options)
  assert.ok(
    uploaded.files[0] &&
      'key' in uploaded.files[0] &&
      uploaded.files[0].key?.startsWith('.longshore/objects/'),
  )
})
