import assert from 'node:assert/strict'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makePath } from '../../src/fs/make-path.ts'
import { tempDir } from '../support/tmp.ts'

test('all folders of a path are made, and the first that was missing is named', async (t) => {
  const dir = tempDir(t)
  mkdirSync(join(dir, 'a'))
  assert.equal(await makePath(join(dir, 'a', 'b', 'c')), join(dir, 'a', 'b'))
  assert.ok(statSync(join(dir, 'a', 'b', 'c')).isDirectory())
  assert.equal(await makePath(join(dir, 'a', 'b', 'c')), undefined)
})

test('many that make one path at once all succeed', async (t) => {
  const path = join(tempDir(t), 'a', 'b', 'c', 'd')
  await Promise.all(Array.from({ length: 20 }, () => makePath(path)))
  assert.ok(statSync(path).isDirectory())
})

test('a file where a folder should be is an error, at the end and in the middle', async (t) => {
  const dir = tempDir(t)
  writeFileSync(join(dir, 'file'), '')
  await assert.rejects(makePath(join(dir, 'file')), { code: 'EEXIST' })
  await assert.rejects(makePath(join(dir, 'file', 'below')), { code: 'ENOTDIR' })
})

test('a filesystem that takes no folders is an error, not an endless loop', async () => {
  await assert.rejects(makePath('/proc/longshore/cache'), { code: 'ENOENT' })
})
