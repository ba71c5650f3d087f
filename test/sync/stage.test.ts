import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Candidate } from '../../src/sync/layouts/layout.ts'
import { createScanner } from '../../src/sync/scan.ts'
import { filesOf } from '../../src/sync/scan-tree.ts'
import { createQueue, dropOverCap } from '../../src/sync/sidecar-queue.ts'
import { isStagedWhole, type Staged, stageCheckpoint, stageRoot, unstage } from '../../src/sync/stage.ts'
import { recoverStage } from '../../src/sync/stage-recover.ts'
import { putTree } from '../support/sidecar.ts'
import { tempDir } from '../support/tmp.ts'

async function candidateOf(dir: string, name: string): Promise<Candidate> {
  const tree = (await createScanner(dir).scan()) ?? assert.fail()
  const files = [...filesOf(tree.root)].filter((file) => file.path.startsWith(`${name}/`))
  const pointers = [{ path: 'latest', mode: 0o644, bytes: Buffer.from(name) }]
  return { name, step: 1, files, links: [], pointers, folders: [], listings: [], quiet: 'settle' }
}

async function stage(dir: string, name: string, more: object = {}): Promise<Staged | undefined> {
  const options = { dir, layout: 'settle', ordinal: 1, run: 's3://b/r/', epoch: 1, ...more }
  return await stageCheckpoint(await candidateOf(dir, name), options)
}

test('what is staged stays readable, byte for byte, when the writer rotates it away', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'alpha', 'c-1/sub/b\n': '' })
  const staged = (await stage(dir, 'c-1')) ?? assert.fail()
  rmSync(join(dir, 'c-1'), { recursive: true })
  assert.equal(await isStagedWhole(staged), true)
  assert.deepEqual(
    staged.checkpoint.files.map((file) => [file.path, readFileSync(file.staged, 'utf8')]),
    [
      ['c-1/a', 'alpha'],
      ['c-1/sub/b\n', ''],
    ],
  )
  await unstage(staged)
  assert.deepEqual(readdirSync(stageRoot(dir)), [])
})

test('a rewrite in place shows, also one that keeps size and mtime', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'alpha' })
  utimesSync(join(dir, 'c-1/a'), 5, 5)
  const staged = (await stage(dir, 'c-1')) ?? assert.fail()
  await new Promise((resolve) => setTimeout(resolve, 20))
  writeFileSync(join(dir, 'c-1/a'), 'gamma')
  utimesSync(join(dir, 'c-1/a'), 5, 5)
  assert.equal(await isStagedWhole(staged), false)
})

test('a file replaced by rename does not touch what is held', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'alpha', 'new': 'other' })
  const staged = (await stage(dir, 'c-1')) ?? assert.fail()
  renameSync(join(dir, 'new'), join(dir, 'c-1/a'))
  assert.equal(await isStagedWhole(staged), true)
  assert.equal(readFileSync(staged.checkpoint.files[0]?.staged ?? '', 'utf8'), 'alpha')
})

test('a checkpoint that changes or goes while it is being held is not held at all', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'alpha', 'c-1/b': 'beta' })
  const candidate = await candidateOf(dir, 'c-1')
  const options = { dir, layout: 'settle', ordinal: 1, run: 's3://b/r/', epoch: 1 }
  writeFileSync(join(dir, 'c-1/b'), 'longer than before')
  assert.equal(await stageCheckpoint(candidate, options), undefined)
  rmSync(join(dir, 'c-1/b'))
  assert.equal(await stageCheckpoint(candidate, options), undefined)
  assert.deepEqual(readdirSync(stageRoot(dir)), [])
})

test('where hard links are refused the files are read in place, and a change is noticed', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'alpha' })
  for (const code of ['EXDEV', 'EPERM', 'EMLINK']) {
    const linkFile = async (): Promise<void> => {
      throw Object.assign(new Error(code), { code })
    }
    const staged = (await stage(dir, 'c-1', { linkFile })) ?? assert.fail()
    assert.equal(staged.folder, undefined)
    assert.equal(staged.checkpoint.files[0]?.staged, join(dir, 'c-1/a'))
    assert.deepEqual(readdirSync(stageRoot(dir)), [])
  }
})

test('a full disk while staging is told, and nothing is left of it', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'alpha' })
  const linkFile = async (): Promise<void> => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  }
  await assert.rejects(stage(dir, 'c-1', { linkFile }), { code: 'LOCAL_IO' })
  assert.deepEqual(readdirSync(stageRoot(dir)), [])
})

test('a killed run leaves whole checkpoints to take up, and rubbish that is cleared', async (t) => {
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'one', 'c-2/a': 'two', 'c-3/a': 'three' })
  await stage(dir, 'c-2', { ordinal: 2 })
  await stage(dir, 'c-1', { ordinal: 1 })
  const torn = (await stage(dir, 'c-3', { ordinal: 3 })) ?? assert.fail()
  rmSync(join(torn.folder ?? '', 'stage.json'))
  mkdirSync(join(stageRoot(dir), 'empty'))
  const damaged = (await stage(dir, 'c-3', { ordinal: 4 })) ?? assert.fail()
  writeFileSync(join(damaged.folder ?? '', 'stage.json'), '{"version":1')
  rmSync(join(dir, 'c-1'), { recursive: true })
  const found = await recoverStage(dir)
  assert.deepEqual(
    found.map((each) => each.staged.checkpoint.name),
    ['c-1', 'c-2'],
  )
  const [first] = found
  assert.equal(readFileSync(first?.staged.checkpoint.files[0]?.staged ?? '', 'utf8'), 'one')
  assert.equal(Buffer.from(first?.staged.checkpoint.pointers[0]?.bytes ?? []).toString(), 'c-1')
  assert.equal(readdirSync(stageRoot(dir)).length, 2)
})

test('a DIR that went away is not made anew by staging', async (t) => {
  const dir = join(tempDir(t), 'mount')
  putTree(dir, { 'c-1/a': 'one' })
  const candidate = await candidateOf(dir, 'c-1')
  rmSync(dir, { recursive: true })
  const options = { dir, layout: 'settle', ordinal: 1, run: 's3://b/r/', epoch: 1 }
  await assert.rejects(stageCheckpoint(candidate, options))
  assert.throws(() => readdirSync(dir), { code: 'ENOENT' })
})

test('over the cap the oldest that only the stage holds go; the two newest and one in progress stay', async (t) => {
  const dir = tempDir(t)
  const queue = createQueue()
  for (let n = 1; n <= 6; n++) {
    putTree(dir, { [`c-${n}/a`]: 'x'.repeat(100) })
    queue.add((await stage(dir, `c-${n}`, { ordinal: n })) ?? assert.fail())
  }
  assert.deepEqual(await dropOverCap(queue, async () => 0), [], 'still in DIR: nothing is pinned')
  for (let n = 1; n <= 6; n++) rmSync(join(dir, `c-${n}`), { recursive: true })
  const [first] = queue.pending
  if (first) first.busy = true
  assert.deepEqual(await dropOverCap(queue, async () => 600), [])
  const dropped = await dropOverCap(queue, async () => 250)
  assert.deepEqual(
    dropped.map((each) => each.name),
    ['c-2', 'c-3'],
  )
  assert.deepEqual(queue.lost, ['c-2', 'c-3'])
  assert.equal((await dropOverCap(queue, async () => 0)).length, 1)
  assert.deepEqual(
    queue.pending.map((each) => each.staged.checkpoint.name),
    ['c-1', 'c-5', 'c-6'],
  )
})
