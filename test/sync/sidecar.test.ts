import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import { decodeRecord, fileKey, isDataFile, logKey } from '../../src/manifest/checkpoint.ts'
import { stageRoot } from '../../src/sync/stage.ts'
import { readSyncStatus } from '../../src/sync/status-file.ts'
import { type MemoryBucket, memoryBucket, type Turn } from '../support/memory-store.ts'
import { failing, finish, putTree, RUN, startSidecar } from '../support/sidecar.ts'
import { tempDir } from '../support/tmp.ts'
import { writeTensorflow } from './layouts/tensorflow-writer.ts'

/** Every commit in the bucket, oldest first, with its bytes as a restore would see them. */
function commitsIn(bucket: MemoryBucket): { name: string; ordinal: number; files: Record<string, string> }[] {
  const commits: { name: string; ordinal: number; files: Record<string, string> }[] = []
  for (let seq = 1; ; seq++) {
    const object = bucket.objects.get(RUN + logKey(seq))
    if (object === undefined) return commits
    const record = decodeRecord(object.body, { seq, url: '' })
    if (record.type !== 'commit') continue
    const files: Record<string, string> = {}
    for (const file of record.files) {
      files[file.path] = isDataFile(file)
        ? (bucket.objects.get(RUN + fileKey(file))?.body.toString() ?? 'MISSING')
        : `-> ${file.symlink}`
    }
    for (const pointer of record.pointers)
      files[pointer.path] = Buffer.from(pointer.base64, 'base64').toString()
    commits.push({ name: record.name, ordinal: record.ordinal, files })
  }
}
const names = (bucket: MemoryBucket): string[] => commitsIn(bucket).map((each) => each.name)

test('finished checkpoints are committed in the order of their completion, and the drain takes the last one', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const sidecar = await startSidecar(dir, bucket)
  putTree(dir, { 'c-1/a': 'one', 'c-1/b/c': 'x' })
  await sidecar.told('committed', 'c-1')
  putTree(dir, { 'c-2/a': 'two' })
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
  assert.deepEqual(commitsIn(bucket), [
    { name: 'c-1', ordinal: 1, files: { 'c-1/a': 'one', 'c-1/b/c': 'x' } },
    { name: 'c-2', ordinal: 2, files: { 'c-2/a': 'two' } },
  ])
  assert.deepEqual(readdirSync(stageRoot(dir)), [])
  const status = await readSyncStatus(dir)
  assert.equal(status?.committed, 2)
  assert.equal(status?.pending, 0)
  assert.equal(status?.lastCommit?.name, 'c-2')
})

test('what an earlier run committed is not committed again, and what it left is taken up', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  putTree(dir, { 'c-1/a': 'one' })
  await (await startSidecar(dir, bucket, { once: true })).done
  putTree(dir, { 'c-2/a': 'two' })
  const fault = failing(/c-2\/a/)
  const stuck = await startSidecar(dir, bucket, { turn: fault.turn })
  await stuck.warned(/c-2 is not committed yet: UNREACHABLE/)
  stuck.drain.begin({ final: false })
  stuck.drain.limit(50)
  assert.deepEqual((await stuck.done).pending, ['c-2'])
  rmSync(join(dir, 'c-2'), { recursive: true })
  const result = await (await startSidecar(dir, bucket, { once: true })).done
  assert.deepEqual(
    result.committed.map((each) => each.name),
    ['c-2'],
  )
  assert.deepEqual(names(bucket), ['c-1', 'c-2'])
  const again = await (await startSidecar(dir, bucket, { once: true })).done
  assert.deepEqual(again.committed, [])
})

test('tensorflow rotation during an outage loses nothing that was complete', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const fault = failing(/ckpt-/)
  const sidecar = await startSidecar(dir, bucket, { turn: fault.turn })
  let last: string[] = []
  for (let n = 1; n <= 4; n++) {
    for (const step of writeTensorflow(`ckpt-${n}`, { before: last, remove: last })) step(dir)
    await sidecar.told('staged', `ckpt-${n}`)
    last = [`ckpt-${n}`]
  }
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.endsWith('.index')),
    ['ckpt-4.index'],
  )
  fault.on = false
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
  assert.deepEqual(names(bucket), ['ckpt-1', 'ckpt-2', 'ckpt-3', 'ckpt-4'])
  for (const commit of commitsIn(bucket)) {
    assert.match(commit.files.checkpoint ?? '', new RegExp(`^model_checkpoint_path: "${commit.name}"`))
    assert.ok(Object.values(commit.files).every((body) => body !== 'MISSING'))
  }
})

test('a checkpoint rewritten in place while it waits is committed as what it became, never mixed', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const fault = failing(/last\//)
  const sidecar = await startSidecar(dir, bucket, { turn: fault.turn })
  putTree(dir, { 'last/a': 'first', 'last/b': 'first' })
  await sidecar.warned(/not committed yet/)
  putTree(dir, { 'last/a': 'other' })
  fault.on = false
  await sidecar.told('committed', 'last')
  putTree(dir, { 'last/b': 'third!' })
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
  assert.deepEqual(
    commitsIn(bucket).map((each) => each.files),
    [
      { 'last/a': 'other', 'last/b': 'first' },
      { 'last/a': 'other', 'last/b': 'third!' },
    ],
  )
})

test('what changed in the middle of its multipart upload leaves no open upload behind the drain', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  let down = true
  const sidecar = await startSidecar(dir, bucket, {
    async turn(moment, call) {
      if (moment !== 'before' || !down || call.name !== 'complete') return undefined
      throw new LongshoreError('UNREACHABLE', `${call.key}: connection refused`)
    },
  })
  putTree(dir, { 'last/weights': 'a'.repeat(17 * 1024 * 1024) })
  await sidecar.warned(/not committed yet/)
  assert.equal(bucket.uploads.size, 1)
  putTree(dir, { 'last/weights': 'small now' })
  down = false
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
  assert.equal(bucket.uploads.size, 0)
})

test('rm -rf of DIR leaves the bucket alone; the sidecar says so, waits, and goes on when DIR is back', async (t) => {
  const dir = join(tempDir(t), 'ckpt')
  const bucket = memoryBucket()
  const sidecar = await startSidecar(dir, bucket)
  await sidecar.warned(/is not there yet: waiting/)
  putTree(dir, { 'c-1/a': 'one' })
  await sidecar.told('committed', 'c-1')
  const before = [...bucket.objects.keys()]
  // The sidecar may be writing its status at this very moment, and rmSync looks into each folder only once.
  for (let gone = false; !gone; ) {
    try {
      rmSync(dir, { recursive: true })
      gone = true
    } catch (error) {
      assert.match(String(error), /ENOTEMPTY/)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  await sidecar.warned(/is gone: what is in .* stays/)
  assert.deepEqual([...bucket.objects.keys()], before)
  mkdirSync(dir)
  await sidecar.warned(/is back/)
  putTree(dir, { 'c-2/a': 'two' })
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
  assert.deepEqual(names(bucket), ['c-1', 'c-2'])
})

test('what is taken away before it could be committed is named, and the end is not called complete', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const fault = failing(/c-1\//)
  const sidecar = await startSidecar(dir, bucket, { turn: fault.turn })
  putTree(dir, { 'c-1/a': 'one' })
  await sidecar.warned(/not committed yet/)
  rmSync(join(dir, 'c-1'), { recursive: true })
  rmSync(join(dir, '.longshore', 'stage'), { recursive: true })
  fault.on = false
  await sidecar.warned(/c-1 was taken away before it was committed/)
  assert.deepEqual((await finish(sidecar)).pending, ['c-1'])
  assert.deepEqual(names(bucket), [])
})

test('a second sidecar on the same DIR is refused with LOCKED', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const first = await startSidecar(dir, bucket)
  putTree(dir, { 'c-1/a': 'one' })
  await first.told('committed')
  const second = await startSidecar(dir, bucket)
  await assert.rejects(second.done, { code: 'LOCKED', exit: 6 })
  await finish(first)
})

test('a zombie whose run another attempt has taken over stops with SUPERSEDED and commits nothing more', async (t) => {
  const bucket = memoryBucket()
  const [old, young] = [tempDir(t), tempDir(t)]
  const zombie = await startSidecar(old, bucket)
  putTree(old, { 'c-1/a': 'one' })
  await zombie.told('committed', 'c-1')
  const heir = await startSidecar(young, bucket)
  putTree(young, { 'c-2/a': 'two' })
  await heir.told('committed', 'c-2')
  putTree(old, { 'c-9/a': 'stale' })
  await assert.rejects(zombie.done, { code: 'SUPERSEDED', exit: 6 })
  await finish(heir)
  assert.deepEqual(names(bucket), ['c-1', 'c-2'])
  // Back on the old node: what it had staged was overtaken and must not become the newest.
  rmSync(join(old, 'c-9'), { recursive: true })
  const back = await startSidecar(old, bucket, { once: true })
  const result = await back.done
  assert.deepEqual(names(bucket), ['c-1', 'c-2'])
  assert.match(back.warnings.join('\n'), /c-9 was complete here and never committed/)
  assert.deepEqual(result.pending, ['c-9'])
})

test('a store that is down for the whole drain ends it at its limit, with the names of what is pending', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const fault = failing(/c-\d/)
  const sidecar = await startSidecar(dir, bucket, { turn: fault.turn })
  putTree(dir, { 'c-1/a': 'one', 'c-2/a': 'two' })
  await sidecar.told('staged', 'c-1')
  await sidecar.told('staged', 'c-2')
  sidecar.drain.begin({ final: false })
  sidecar.drain.limit(150)
  const result = await sidecar.done
  assert.deepEqual(result.pending.sort(), ['c-1', 'c-2'])
  assert.equal(sidecar.warnings.filter((each) => /not committed yet/.test(each)).length <= 2, true)
})

test('lost answers to records and data commit once', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  let calls = 0
  const turn: Turn = async (moment, call) => {
    // Every fifth write's answer is lost: the caller sees an error, the bucket has the bytes.
    if (moment === 'after' && call.name === 'put' && ++calls % 5 === 3) {
      throw new LongshoreError('UNREACHABLE', 'connection reset')
    }
    return undefined
  }
  const sidecar = await startSidecar(dir, bucket, { turn })
  for (let n = 1; n <= 4; n++) {
    putTree(dir, { [`c-${n}/a`]: `body ${n}` })
    await sidecar.told('committed', `c-${n}`)
  }
  assert.deepEqual((await finish(sidecar)).pending, [])
  assert.deepEqual(
    commitsIn(bucket).map((each) => each.files),
    [1, 2, 3, 4].map((n) => ({ [`c-${n}/a`]: `body ${n}` })),
  )
})

test('with --keep-last the older ones are retired, and the newest stays', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const sidecar = await startSidecar(dir, bucket, { keepLast: 1 })
  for (let n = 1; n <= 3; n++) {
    putTree(dir, { [`c-${n}/a`]: `body ${n}` })
    await sidecar.told('committed', `c-${n}`)
  }
  const result = await finish(sidecar)
  assert.deepEqual(result.retired, ['c-1', 'c-2'])
  assert.equal(bucket.objects.has(`${RUN}c-1/a`), false)
  assert.equal(bucket.objects.has(`${RUN}c-3/a`), true)
  assert.equal(existsSync(join(dir, 'c-1/a')), true)
})

test('a retired checkpoint that still lies in DIR is not committed anew by the next run; in a new run it is', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  putTree(dir, { 'c-1/a': 'one', 'c-2/a': 'two', 'c-3/a': 'three' })
  await (await startSidecar(dir, bucket, { once: true, keepLast: 1 })).done
  assert.deepEqual(names(bucket), ['c-1', 'c-2', 'c-3'])
  const again = await (await startSidecar(dir, bucket, { once: true, keepLast: 1 })).done
  assert.deepEqual(again.committed, [])
  // The bucket was emptied and begun anew: notes about the old log prove nothing.
  const fresh = await (await startSidecar(dir, memoryBucket(), { once: true })).done
  assert.equal(fresh.committed.length, 3)
})

test('a checkpoint that waits and looks unfinished for a moment is committed once', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const fault = failing(/c-1/)
  const sidecar = await startSidecar(dir, bucket, { turn: fault.turn })
  putTree(dir, { 'c-1/a': 'one' })
  await sidecar.warned(/not committed yet/)
  putTree(dir, { 'c-1/x.tmp': '' })
  await new Promise((resolve) => setTimeout(resolve, 150))
  rmSync(join(dir, 'c-1/x.tmp'))
  await new Promise((resolve) => setTimeout(resolve, 250))
  fault.on = false
  await finish(sidecar)
  assert.deepEqual(names(bucket), ['c-1'])
})

test('links and their targets are committed as links, and a link that moves on commits nothing again', async (t) => {
  const { symlinkSync, unlinkSync } = await import('node:fs')
  const dir = tempDir(t)
  const bucket = memoryBucket()
  putTree(dir, { 'c-1/a': 'one' })
  symlinkSync('a', join(dir, 'c-1/same'))
  symlinkSync('c-1', join(dir, 'latest'))
  await (await startSidecar(dir, bucket, { once: true })).done
  assert.deepEqual(commitsIn(bucket)[0]?.files, { 'c-1/a': 'one', 'c-1/same': '-> a', latest: '-> c-1' })
  putTree(dir, { 'c-2/a': 'two' })
  unlinkSync(join(dir, 'latest'))
  symlinkSync('c-2', join(dir, 'latest'))
  await (await startSidecar(dir, bucket, { once: true })).done
  assert.deepEqual(names(bucket), ['c-1', 'c-2'])
})

test('one pass commits what is complete and says what was still being written', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  putTree(dir, { 'c-1/a': 'one', 'c-2/a': '' })
  const timer = setInterval(() => writeFileSync(join(dir, 'c-2/a'), `${performance.now()}`), 5)
  t.after(() => clearInterval(timer))
  const sidecar = await startSidecar(dir, bucket, { once: true })
  const result = await sidecar.done
  assert.deepEqual(
    result.committed.map((each) => each.name),
    ['c-1'],
  )
  assert.match(sidecar.warnings.join('\n'), /c-2 was still being written/)
  assert.deepEqual(result.pending, [])
})

test('one pass over a DIR that is missing is an error; one that finds nothing is none', async (t) => {
  const bucket = memoryBucket()
  const missing = await startSidecar(join(tempDir(t), 'no'), bucket, { once: true })
  await assert.rejects(missing.done, { code: 'NOT_FOUND' })
  assert.deepEqual((await (await startSidecar(tempDir(t), bucket, { once: true })).done).committed, [])
})

test('--also copies logs when they changed, and never over the bytes of a commit', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  putTree(dir, { 'logs/t.log': 'one' })
  await (await startSidecar(dir, bucket, { once: true })).done
  assert.deepEqual(names(bucket), ['logs'])
  putTree(dir, { 'c-1/a': 'one', 'train.log': 'hello', 'logs/t.log': 'two' })
  const sidecar = await startSidecar(dir, bucket, { also: (path) => path.endsWith('.log') })
  await sidecar.told('copied')
  writeFileSync(join(dir, 'train.log'), 'hello again')
  await finish(sidecar)
  assert.equal(bucket.objects.get(`${RUN}train.log`)?.body.toString(), 'hello again')
  assert.equal(bucket.objects.get(`${RUN}logs/t.log`)?.body.toString(), 'one')
  assert.match(sidecar.warnings.join('\n'), /logs\/t\.log is not copied: a checkpoint has its place/)
})

test('events only wake it sooner: with scans an hour apart, the watcher brings the commit', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const sidecar = await startSidecar(dir, bucket, { watch: true, scanInterval: 3_600_000, settle: 1 })
  await sidecar.told('layout')
  putTree(dir, { 'c-1/a': 'one' })
  await sidecar.told('committed', 'c-1')
  const result = await finish(sidecar)
  assert.deepEqual(result.pending, [])
})

test('a checkpoint that is renamed into place is committed once, under its final name', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const sidecar = await startSidecar(dir, bucket)
  putTree(dir, { 'tmp-c-1/a': 'one' })
  await new Promise((resolve) => setTimeout(resolve, 200))
  renameSync(join(dir, 'tmp-c-1'), join(dir, 'c-1'))
  await finish(sidecar)
  assert.deepEqual(commitsIn(bucket), [{ name: 'c-1', ordinal: 1, files: { 'c-1/a': 'one' } }])
  assert.equal(readFileSync(join(dir, 'c-1/a'), 'utf8'), 'one')
})

test('a DIR that is a checkpoint itself survives a kill in the stage, under the name of the folder', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const fault = failing(/\/w$/)
  putTree(dir, { w: 'weights', DONE: '' })
  const marker = (path: string) => path === 'DONE'
  const first = await startSidecar(dir, bucket, { marker, layout: 'marker', turn: fault.turn })
  await first.warned(/not committed yet/)
  first.drain.begin({ final: true })
  first.drain.limit(1)
  await first.done
  rmSync(join(dir, 'w'))
  await (await startSidecar(dir, bucket, { marker, layout: 'marker', once: true })).done
  assert.deepEqual(commitsIn(bucket)[0], { name: '.', ordinal: 1, files: { w: 'weights', DONE: '' } })
})
