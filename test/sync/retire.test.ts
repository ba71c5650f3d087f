import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { commitCheckpoint } from '../../src/sync/commit.ts'
import type { LogWriter } from '../../src/sync/epoch.ts'
import type { CommitHead } from '../../src/sync/log.ts'
import { compareNewest, newestCommit } from '../../src/sync/log-state.ts'
import { finishRetired, planRetire, retireCheckpoints } from '../../src/sync/retire.ts'
import { abandonUpload, uploadCheckpoint } from '../../src/sync/upload.ts'
import { memoryBucket } from '../support/memory-store.ts'
import { openWriter, PREFIX, SIGNAL } from '../support/run-log.ts'
import { makeCheckpoint } from '../support/staged.ts'
import { tempDir } from '../support/tmp.ts'

const options = { signal: SIGNAL }

const heads = fc
  .array(
    fc.record({ epoch: fc.integer({ min: 1, max: 3 }), step: fc.option(fc.integer({ min: 0, max: 40 })) }),
    {
      maxLength: 30,
    },
  )
  .map((all) =>
    all.map(({ epoch, step }, at): CommitHead => {
      const name = `c${at}`
      const rest = { nonce: '', name, layout: '', files: 1, bytes: 1, at: '' }
      return { ...rest, seq: at + 1, epoch, ordinal: at + 1, step }
    }),
  )

test('the policy keeps the newest N and the newest of each K-th step, and lets everything else go', () => {
  fc.assert(
    fc.property(
      heads,
      fc.integer({ min: 0, max: 5 }),
      fc.option(fc.integer({ min: 1, max: 10 })),
      (all, n, k) => {
        const keepEvery = k ?? undefined
        const gone = new Set(planRetire(all, { keepLast: n, keepEvery }))
        const kept = all.filter((head) => !gone.has(head)).sort(compareNewest)
        const ranked = [...all].sort(compareNewest)
        assert.deepEqual(kept.slice(0, Math.max(1, n)), ranked.slice(0, Math.max(1, n)))
        for (const head of kept.slice(Math.max(1, n)))
          assert.ok(head.step !== null && k && head.step % k === 0)
        const milestones = new Set(all.map((head) => head.step).filter((s) => s !== null && k && s % k === 0))
        for (const step of milestones) assert.ok(kept.some((head) => head.step === step))
        const newest = newestCommit(all)
        assert.ok(newest === undefined || !gone.has(newest))
      },
    ),
  )
})

test('without --keep-last nothing is retired', () => {
  fc.assert(fc.property(heads, (all) => assert.deepEqual(planRetire(all, { keepEvery: 1 }), [])))
})

async function commitNumber(writer: LogWriter, dir: string, ordinal: number): Promise<CommitHead> {
  const files = {
    [`c${ordinal}/data`]: `bytes of ${ordinal}`,
    [`c${ordinal}/empty`]: '',
    'shared.json': '{"for": "all"}',
  }
  return commitFiles(writer, dir, { name: `c${ordinal}`, ordinal, files })
}

async function commitFiles(
  writer: LogWriter,
  dir: string,
  checkpoint: { name: string; ordinal: number; files: Record<string, string> },
): Promise<CommitHead> {
  const staged = await makeCheckpoint(dir, checkpoint)
  return commitCheckpoint(writer, await uploadCheckpoint(writer, staged, options), options)
}

test('retired checkpoints lose their objects, but not those that a live one names', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const writer = await openWriter(bucket, dir)
  for (let n = 1; n <= 4; n++) await commitNumber(writer, dir, n)
  const gone = await retireCheckpoints(writer, { ...options, keepLast: 2 })
  assert.deepEqual(
    gone.map((head) => head.name),
    ['c1', 'c2'],
  )
  const data = [...bucket.objects.keys()].filter((key) => !key.includes('.longshore/log/')).sort()
  assert.deepEqual(
    data,
    ['c3/data', 'c3/empty', 'c4/data', 'c4/empty', 'shared.json'].map((key) => PREFIX + key),
  )
})

test('a crash between the retire record and the deletions is mended by the next writer', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  let dead = false
  const writer = await openWriter(bucket, dir, {
    turn: (_, call) => {
      if (call.name === 'remove') dead = true
      if (dead) throw new Error('killed')
      return undefined
    },
  })
  for (let n = 1; n <= 3; n++) await commitNumber(writer, dir, n)
  await assert.rejects(retireCheckpoints(writer, { ...options, keepLast: 1 }), /killed/)
  assert.ok(bucket.objects.has(`${PREFIX}c1/data`))
  const next = await openWriter(bucket, dir)
  assert.equal((await finishRetired(next, options)).deleted, 4)
  assert.ok(!bucket.objects.has(`${PREFIX}c1/data`) && bucket.objects.has(`${PREFIX}c3/data`))
  await commitNumber(next, dir, 4)
  await retireCheckpoints(next, { ...options, keepLast: 1 })
  const third = await openWriter(bucket, dir)
  assert.deepEqual([...third.unswept.keys()].length, 1, 'what is done is not done again')
})

test('a key that an upload in progress relies on outlives the retirement of its commit', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const writer = await openWriter(bucket, dir)
  await commitNumber(writer, dir, 1)
  const staged = await makeCheckpoint(dir, {
    name: 'again',
    ordinal: 2,
    files: { 'shared.json': '{"for": "all"}', 'again/x': 'x' },
  })
  const uploaded = await uploadCheckpoint(writer, staged, options)
  assert.equal(uploaded.kept.files, 1, 'the same bytes are not sent twice')
  await commitFiles(writer, dir, { name: 'c3', ordinal: 3, files: { 'c3/data': '3' } })
  await retireCheckpoints(writer, { ...options, keepLast: 1 })
  assert.ok(bucket.objects.has(`${PREFIX}shared.json`))
  assert.ok(!bucket.objects.has(`${PREFIX}c1/data`))
  await commitCheckpoint(writer, uploaded, options)
  await retireCheckpoints(writer, { ...options, keepLast: 2 })
  assert.ok(bucket.objects.has(`${PREFIX}shared.json`))
})

test('what an abandoned upload held goes with the next retire', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const writer = await openWriter(bucket, dir)
  await commitNumber(writer, dir, 1)
  const staged = await makeCheckpoint(dir, {
    name: 'x',
    ordinal: 2,
    files: { 'shared.json': '{"for": "all"}' },
  })
  const uploaded = await uploadCheckpoint(writer, staged, options)
  await commitFiles(writer, dir, { name: 'c3', ordinal: 3, files: { 'c3/data': '3' } })
  await retireCheckpoints(writer, { ...options, keepLast: 1 })
  abandonUpload(writer, uploaded)
  await retireCheckpoints(writer, { ...options, keepLast: 1 })
  assert.ok(!bucket.objects.has(`${PREFIX}shared.json`))
})
