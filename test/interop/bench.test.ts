import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { tempDir } from '../support/tmp.ts'
import { orSkip, python, versitygw } from './support/tools.ts'

const ROOT = resolve(import.meta.dirname, '../..')

test('The bench runs longshore beside s5cmd and rclone, checks what each fetched, and leaves nothing', async (t) => {
  if ((await orSkip(t, async () => [await python('peers'), await versitygw()])) === undefined) return
  const dir = tempDir(t)
  const results = join(tempDir(t), 'results.md')
  const args = ['--import', 'tsx', 'bench/main.ts', '--quick', '--rows', '1', '--scheme', 'https']
  await promisify(execFile)(process.execPath, [...args, '--dir', dir, '--results', results], { cwd: ROOT })
  const page = readFileSync(results, 'utf8')
  for (const tool of ['longshore', 's5cmd', 'rclone']) {
    assert.match(page, new RegExp(`^\\| ${tool} \\| \\d+\\.\\d\\d \\| \\d`, 'm'), page)
  }
  assert.doesNotMatch(page, /failed/i)
  assert.deepEqual(readdirSync(dir), [])
})
