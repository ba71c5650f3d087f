import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLongshoreError } from '../../src/errors.ts'
import type { CommitRecord } from '../../src/manifest/checkpoint.ts'
import { logKey } from '../../src/manifest/checkpoint.ts'
import { openLog } from '../../src/sync/log.ts'
import { newestCommit } from '../../src/sync/log-state.ts'
import { pickNewest, pickStep } from '../../src/sync/restore-pick.ts'
import { type MemoryBucket, memoryBucket } from '../support/memory-store.ts'
import { memoryPlace, PREFIX, recordBase, SIGNAL, seedRecord } from '../support/run-log.ts'

const options = { signal: SIGNAL }

function commit(
  bucket: MemoryBucket,
  place: { seq: number; epoch: number; ordinal: number; newest?: number },
): CommitRecord {
  const { seq, epoch, ordinal } = place
  const file = { path: `c${ordinal}/data`, size: 3, mode: 0o644, crc32: '00000000' }
  const record: CommitRecord = {
    ...recordBase(seq, epoch),
    type: 'commit',
    ordinal,
    name: `c${ordinal}`,
    step: ordinal * 10,
    newest: place.newest ?? seq,
    layout: 'settle',
    files: [file],
    pointers: [],
  }
  seedRecord(bucket, record)
  return record
}

test('ten thousand records are read in full, and the newest is found by reading a handful', async () => {
  const bucket = memoryBucket()
  seedRecord(bucket, { ...recordBase(1, 1), type: 'takeover' })
  for (let seq = 2; seq <= 9_999; seq++) commit(bucket, { seq, epoch: 1, ordinal: seq })
  const commits = [{ seq: 2, name: 'c2' }]
  seedRecord(bucket, { ...recordBase(10_000, 1), type: 'retire', commits, swept: 0 })
  const log = await openLog(memoryPlace(bucket), options)
  assert.deepEqual([log.seq, log.epoch, log.commits.size], [10_000, 1, 9_997])
  assert.equal(newestCommit(log.commits.values())?.seq, 9_999)
  assert.deepEqual([...log.unswept], [[10_000, [2]]])

  let reads = 0
  const counted = memoryPlace(bucket, (moment, call) => {
    if (moment === 'before' && call.name === 'getDocument') reads++
    return undefined
  })
  assert.equal((await pickNewest(counted, options))?.seq, 9_999)
  assert.ok(reads <= 8, `${reads} records were read`)
})

test('an empty prefix is an empty log, and foreign keys beside the records are left alone', async () => {
  const bucket = memoryBucket()
  assert.equal((await openLog(memoryPlace(bucket), options)).seq, 0)
  assert.equal(await pickNewest(memoryPlace(bucket), options), undefined)
  seedRecord(bucket, { ...recordBase(1, 1), type: 'takeover' })
  const object = { body: Buffer.from('x'), etag: '"1"', modified: 0, multipart: false }
  for (const name of ['', 'README', '12.json']) bucket.objects.set(`${PREFIX}.longshore/log/${name}`, object)
  assert.equal((await openLog(memoryPlace(bucket), options)).seq, 1)
  assert.equal(await pickNewest(memoryPlace(bucket), options), undefined)
})

test('a gap in the log and a damaged record are named', async () => {
  const bucket = memoryBucket()
  seedRecord(bucket, { ...recordBase(1, 1), type: 'takeover' })
  commit(bucket, { seq: 3, epoch: 1, ordinal: 1 })
  const missing = (error: unknown) =>
    isLongshoreError(error, 'BAD_MANIFEST') && /000000000002\.json is missing/.test(error.message)
  await assert.rejects(openLog(memoryPlace(bucket), options), missing)
  bucket.objects.set(PREFIX + logKey(2), {
    body: Buffer.from('{'),
    etag: '"2"',
    modified: 0,
    multipart: false,
  })
  await assert.rejects(openLog(memoryPlace(bucket), options), /000000000002\.json is not JSON/)
})

test('the newest is the highest (epoch, ordinal), not the highest number or step', async () => {
  const bucket = memoryBucket()
  seedRecord(bucket, { ...recordBase(1, 1), type: 'takeover' })
  commit(bucket, { seq: 2, epoch: 1, ordinal: 9 })
  seedRecord(bucket, { ...recordBase(3, 2), type: 'takeover' })
  assert.equal((await pickNewest(memoryPlace(bucket), options))?.seq, 2, 'a takeover alone changes nothing')
  commit(bucket, { seq: 4, epoch: 2, ordinal: 2 })
  commit(bucket, { seq: 5, epoch: 2, ordinal: 1, newest: 4 })
  assert.equal((await pickNewest(memoryPlace(bucket), options))?.seq, 4)
  const log = await openLog(memoryPlace(bucket), options)
  assert.equal(newestCommit(log.commits.values())?.seq, 4)
})

test('a retired newest is not offered: the one before it is', async () => {
  const bucket = memoryBucket()
  seedRecord(bucket, { ...recordBase(1, 1), type: 'takeover' })
  commit(bucket, { seq: 2, epoch: 1, ordinal: 1 })
  commit(bucket, { seq: 3, epoch: 1, ordinal: 2 })
  const commits = [{ seq: 3, name: 'c2' }]
  seedRecord(bucket, { ...recordBase(4, 1), type: 'retire', commits, swept: 0 })
  assert.equal((await pickNewest(memoryPlace(bucket), options))?.seq, 2)
})

test('a step or a name picks the newest commit that has it; another one says which there are', async () => {
  const bucket = memoryBucket()
  seedRecord(bucket, { ...recordBase(1, 1), type: 'takeover' })
  commit(bucket, { seq: 2, epoch: 1, ordinal: 1 })
  commit(bucket, { seq: 3, epoch: 1, ordinal: 2 })
  seedRecord(bucket, { ...recordBase(4, 2), type: 'takeover' })
  commit(bucket, { seq: 5, epoch: 2, ordinal: 1 })
  const place = memoryPlace(bucket)
  assert.equal((await pickStep(place, 10, options))?.seq, 5)
  assert.equal((await pickStep(place, 'c2', options))?.seq, 3)
  assert.equal((await pickStep(place, '20', options))?.seq, 3)
  await assert.rejects(
    pickStep(place, 7, options),
    (error) => isLongshoreError(error, 'NOT_FOUND') && (error.hint ?? '').includes('c1 (10), c2 (20)'),
  )
})
