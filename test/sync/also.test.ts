import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LongshoreError } from '../../src/errors.ts'
import { copyUp } from '../../src/sync/also-copy.ts'
import { matchPaths } from '../../src/sync/sidecar-globs.ts'
import { memoryBucket, memoryEngine, memoryStore } from '../support/memory-store.ts'
import { tempDir } from '../support/tmp.ts'

const signal = new AbortController().signal

test('a log goes up as long as it was when it was looked at, in one piece or in parts, over what is there', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const place = { engine: memoryEngine(), store: memoryStore(bucket), prefix: '' }
  const path = join(dir, 'a.log')
  for (const size of [0, 1, 9, 10, 11, 25, 30]) {
    writeFileSync(path, 'x'.repeat(size))
    appendFileSync(path, 'later')
    await copyUp(place, { path, key: 'a.log', size, partSize: 10, signal })
    assert.equal(bucket.objects.get('a.log')?.body.toString(), 'x'.repeat(size))
  }
  assert.equal(bucket.uploads.size, 0)
})

test('a copy that fails midway leaves no open upload and the old bytes', async (t) => {
  const dir = tempDir(t)
  const bucket = memoryBucket()
  const store = memoryStore(bucket, async (moment, call) => {
    if (moment === 'before' && call.name === 'putPart') throw new LongshoreError('UNREACHABLE', 'reset')
    return undefined
  })
  const place = { engine: memoryEngine(), store, prefix: '' }
  const path = join(dir, 'a.log')
  writeFileSync(path, 'old')
  await copyUp(place, { path, key: 'a.log', size: 3, partSize: 10, signal })
  writeFileSync(path, 'x'.repeat(30))
  await assert.rejects(copyUp(place, { path, key: 'a.log', size: 30, partSize: 10, signal }), {
    code: 'UNREACHABLE',
  })
  assert.equal(bucket.uploads.size, 0)
  assert.equal(bucket.objects.get('a.log')?.body.toString(), 'old')
})

test('a pattern without a slash is about names anywhere, one with a slash about paths', () => {
  const logs = matchPaths(['*.log'])
  assert.deepEqual(['a.log', 'd/e/.b.log', 'a.txt'].map(logs), [true, true, false])
  const done = matchPaths(['*/DONE'])
  assert.deepEqual(['c-1/DONE', 'DONE', 'a/b/DONE'].map(done), [true, false, false])
  assert.deepEqual(['DONE', 'a/b/DONE'].map(matchPaths(['**/DONE'])), [true, true])
})
