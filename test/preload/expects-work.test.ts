import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordDataset } from '../../src/cache/datasets.ts'
import { datasetId } from '../../src/cache/paths.ts'
import { writeReady } from '../../src/cache/ready.ts'
import { expectsWork } from '../../src/preload/expects-work.ts'
import type { PreloadJob } from '../../src/preload/job.ts'
import { makeCache } from '../cache/support.ts'
import { tempDir } from '../support/tmp.ts'

test('work is expected of a bucket until some version of the source is READY, and never of a local folder', async (t) => {
  const cache = await makeCache(tempDir(t))
  const job = { cache, cwd: '/' } as PreloadJob
  assert.equal(await expectsWork('s3://bucket/data/', job), true)

  const identity = { place: 'aws', bucket: 'bucket', prefix: 'data/', digest: 'a'.repeat(64) }
  await recordDataset(cache, { ...identity, source: 's3://bucket/data/', kind: 'prefix' })
  assert.equal(await expectsWork('s3://bucket/data/', job), true, 'begun, not whole')

  await writeReady(cache, datasetId(identity), 'all', { files: 1, bytes: 1, checks: {} })
  assert.equal(await expectsWork('s3://bucket/data/', job), false)
  assert.equal(await expectsWork('s3://bucket/data', job), false, 'the same source in other words')
  assert.equal(await expectsWork('s3://bucket/other/', job), true)
  assert.equal(await expectsWork('/some/folder', job), false)
  await assert.rejects(expectsWork('nosuch://b/', job), { code: 'BAD_URI' })
})
