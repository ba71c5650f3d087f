import assert from 'node:assert/strict'
import { lstatSync, mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import { acquireLock } from '../../src/fs/lock.ts'
import { decodeRecord, logKey } from '../../src/manifest/checkpoint.ts'
import { stageRoot } from '../../src/sync/stage.ts'
import { saveKnown } from '../../src/sync/upload-known.ts'
import {
  type MemoryBucket,
  memoryBucket,
  memoryEngine,
  memoryStore,
  type Turn,
} from '../support/memory-store.ts'
import { finish, putTree, RUN, startSidecar } from '../support/sidecar.ts'
import { tempDir } from '../support/tmp.ts'

/** Names of the commits in the bucket, oldest first. */
function names(bucket: MemoryBucket): string[] {
  const found: string[] = []
  for (let seq = 1; ; seq++) {
    const object = bucket.objects.get(RUN + logKey(seq))
    if (object === undefined) return found
    const record = decodeRecord(object.body, { seq, url: '' })
    if (record.type === 'commit') found.push(record.name)
  }
}

/** Writes of keys that match fail. */
const refuse =
  (match: RegExp): Turn =>
  async (moment, call) => {
    if (moment !== 'before' || !match.test(call.key)) return undefined
    throw new LongshoreError('UNREACHABLE', `${call.key}: connection refused`)
  }

test('a DIR that is unmounted and comes back makes no retired checkpoint the newest', async (t) => {
  const top = tempDir(t)
  const dir = join(top, 'ckpt')
  const bucket = memoryBucket()
  putTree(dir, { 'c-1/a': 'one', 'c-2/a': 'two' })
  const sidecar = await startSidecar(dir, bucket, { keepLast: 1 })
  await sidecar.told('retired', 'c-1')
  // What a mount point shows while nothing is mounted there: an empty folder.
  mkdirSync(join(top, 'away'))
  for (const name of ['c-1', 'c-2']) renameSync(join(dir, name), join(top, 'away', name))
  await new Promise((resolve) => setTimeout(resolve, 200))
  putTree(dir, { 'c-3/a': 'three' })
  await sidecar.told('committed', 'c-3')
  for (const name of ['c-1', 'c-2']) renameSync(join(top, 'away', name), join(dir, name))
  await finish(sidecar)
  assert.deepEqual(names(bucket), ['c-1', 'c-2', 'c-3'])
})

test('what another attempt has overtaken stays out, also in the run after the next', async (t) => {
  const bucket = memoryBucket()
  const [old, young] = [tempDir(t), tempDir(t)]
  putTree(old, { 'c-5/a': 'five' })
  const first = await startSidecar(old, bucket, { turn: refuse(/c-5\//) })
  await first.warned(/c-5 is not committed yet/)
  first.drain.begin({ final: true })
  first.drain.limit(1)
  assert.deepEqual((await first.done).pending, ['c-5'])
  putTree(young, { 'c-9/a': 'nine' })
  await (await startSidecar(young, bucket, { once: true })).done
  for (const pending of [['c-5'], []]) {
    assert.deepEqual((await (await startSidecar(old, bucket, { once: true })).done).pending, pending)
    assert.deepEqual(names(bucket), ['c-9'])
  }
})

test('what a run could not commit while it committed a newer one does not become the newest after a restart', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const turn: Turn = async (moment, call) => {
    if (moment === 'before' && /c-1\/a/.test(call.key)) throw new LongshoreError('INTEGRITY', 'not this one')
    return undefined
  }
  const first = await startSidecar(dir, bucket, { turn })
  putTree(dir, { 'c-1/a': 'one' })
  await first.told('staged', 'c-1')
  putTree(dir, { 'c-2/a': 'two' })
  await first.told('committed', 'c-2')
  assert.deepEqual((await finish(first)).pending, ['c-1'])
  const next = await startSidecar(dir, bucket, { once: true })
  assert.deepEqual((await next.done).pending, ['c-1'])
  assert.match(next.warnings.join('\n'), /c-1 was complete here and never committed/)
  assert.deepEqual(names(bucket), ['c-2'])
  assert.deepEqual(readdirSync(stageRoot(dir)), [])
})

test('what restore brings into the DIR of a running sidecar is not committed anew', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const other = tempDir(t)
  putTree(other, { 'c-1/a': 'one' })
  await (await startSidecar(other, bucket, { once: true })).done
  putTree(other, { 'c-2/a': 'two' })
  await (await startSidecar(other, bucket, { once: true })).done
  const sidecar = await startSidecar(dir, bucket)
  await sidecar.told('layout')
  // As restore does it: under its lock, the files under their final names first, its notes last.
  const stateDir = join(dir, '.longshore')
  const lock = await acquireLock(stateDir, 'restore', { wait: false, signal: AbortSignal.timeout(10_000) })
  putTree(dir, { 'c-1/a': 'one' })
  await new Promise((resolve) => setTimeout(resolve, 300))
  const { ino, mtimeNs } = lstatSync(join(dir, 'c-1/a'), { bigint: true })
  const file = { path: 'c-1/a', inode: String(ino), mtimeNs: String(mtimeNs), size: 3 }
  const files = [{ ...file, crc32: '7a6c86f1', key: 'c-1/a' }]
  const place = { engine: memoryEngine(), store: memoryStore(bucket), prefix: RUN }
  await saveKnown(place, { stateDir, seq: 2, files })
  await lock?.release()
  await new Promise((resolve) => setTimeout(resolve, 200))
  const result = await finish(sidecar)
  assert.deepEqual(result.committed, [])
  assert.deepEqual(names(bucket), ['c-1', 'c-2'])
})
