import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isLongshoreError } from '../../src/errors.ts'
import { SILENT } from '../../src/progress.ts'
import { fetchCheckpoint } from '../../src/sync/restore-fetch.ts'
import { memoryBucket } from '../support/memory-store.ts'
import { memoryPlace, SIGNAL } from '../support/run-log.ts'
import { tempDir } from '../support/tmp.ts'

test('a checkpoint that can not fit is refused before the first byte, and leaves no folder', async (t) => {
  const dir = tempDir(t)
  const file = { path: 'c/x', size: 2 ** 52, mode: 0o644, crc32: '00000000' }
  const place = memoryPlace(memoryBucket(), () => assert.fail('no request'))
  const folder = join(dir, '.longshore', 'restore-1')
  await assert.rejects(
    fetchCheckpoint([file], { place, folder, memory: 2 ** 26, signal: SIGNAL, progress: SILENT }),
    (error) => isLongshoreError(error, 'NO_SPACE') && error.exit === 5 && error.path === dir,
  )
  assert.deepEqual(readdirSync(dir), [])
})
