import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import {
  linkDurable,
  removeDurable,
  renameDurable,
  syncDir,
  syncFew,
  syncFile,
  syncFilesystem,
  writeFileDurable,
} from '../../src/fs/durable.ts'
import { tempDir } from '../support/tmp.ts'

test('a durable write replaces the whole file, sets its mode whatever the umask, and leaves no temporary file', async (t) => {
  const dir = tempDir(t)
  const file = path.join(dir, 'a.json')
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  await writeFileDurable(file, 'one, longer')
  assert.equal(statSync(file).mode & 0o777, 0o644)
  await writeFileDurable(file, Buffer.from('two'), { mode: 0o664 })
  assert.equal(readFileSync(file, 'utf8'), 'two')
  assert.equal(statSync(file).mode & 0o777, 0o664)
  assert.deepEqual(readdirSync(dir), ['a.json'])
})

test('a name of the full length can be written durably', async (t) => {
  const dir = tempDir(t)
  await writeFileDurable(path.join(dir, 'ß'.repeat(127)), 'x')
  assert.deepEqual(readdirSync(dir), ['ß'.repeat(127)])
})

test('a durable write that fails keeps the old file and leaves no temporary file', async (t) => {
  const dir = tempDir(t)
  mkdirSync(path.join(dir, 'folder'))
  await assert.rejects(writeFileDurable(path.join(dir, 'folder'), 'x'), { code: 'EISDIR' })
  await assert.rejects(writeFileDurable(path.join(dir, 'missing', 'a'), 'x'), { code: 'ENOENT' })
  assert.deepEqual(readdirSync(dir), ['folder'])
})

test('a durable link never replaces, a durable rename does, a durable removal may find nothing', async (t) => {
  const dir = tempDir(t)
  const a = path.join(dir, 'a')
  const b = path.join(dir, 'b')
  const c = path.join(dir, 'sub', 'c')
  mkdirSync(path.dirname(c))
  writeFileSync(a, 'a')
  await linkDurable(a, b)
  await assert.rejects(linkDurable(a, b), { code: 'EEXIST' })
  writeFileSync(c, 'old')
  await renameDurable(b, c)
  assert.equal(readFileSync(c, 'utf8'), 'a')
  await removeDurable(c)
  await removeDurable(c)
  await removeDurable(path.join(dir, 'nowhere', 'c'))
  assert.equal(existsSync(c), false)
})

test('files, folders and whole trees can be synced, with the tool and without it', async (t) => {
  const dir = tempDir(t)
  mkdirSync(path.join(dir, 'x', 'y'), { recursive: true })
  writeFileSync(path.join(dir, 'x', 'y', 'f'), 'f')
  await syncFile(path.join(dir, 'x', 'y', 'f'))
  await syncDir(dir)
  await syncFew([dir, path.join(dir, 'x')])
  await assert.rejects(syncFew([dir, path.join(dir, 'missing')]), /ENOENT/)
  const stop = new AbortController()
  const syncing = syncFew([dir], { signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(syncing, { message: 'enough' })
  await syncFilesystem(dir)
  const PATH = process.env.PATH
  t.after(() => {
    process.env.PATH = PATH
  })
  process.env.PATH = path.join(dir, 'empty')
  await syncFilesystem(dir)
  const reason = new Error('stop')
  await assert.rejects(syncFilesystem(dir, { signal: AbortSignal.abort(reason) }), (e) => e === reason)
})
