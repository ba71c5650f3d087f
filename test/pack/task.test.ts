import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runPack } from '../../src/pack/run.ts'
import { taskFromEnv } from '../../src/pack/task.ts'
import { SILENT } from '../../src/progress.ts'
import { tempDir } from '../support/tmp.ts'
import { assertSame, packContext, packInto, readTree, sampleObjects, writeTree } from './pack-into.ts'
import { PACK_DEFAULTS } from './plan-of.ts'

test('a Slurm array, an indexed Job and a Batch array each tell a task its share', () => {
  const slurm = {
    SLURM_ARRAY_TASK_ID: '5',
    SLURM_ARRAY_TASK_COUNT: '4',
    SLURM_ARRAY_TASK_MIN: '3',
    SLURM_ARRAY_TASK_MAX: '6',
  }
  assert.deepEqual(taskFromEnv(slurm), { index: 2, count: 4 })
  const stepped = {
    SLURM_ARRAY_TASK_ID: '8',
    SLURM_ARRAY_TASK_COUNT: '3',
    SLURM_ARRAY_TASK_MIN: '0',
    SLURM_ARRAY_TASK_MAX: '8',
    SLURM_ARRAY_TASK_STEP: '4',
  }
  assert.deepEqual(taskFromEnv(stepped), { index: 2, count: 3 })
  assert.deepEqual(taskFromEnv({ JOB_COMPLETION_INDEX: '1', LONGSHORE_TASK_COUNT: '8' }), {
    index: 1,
    count: 8,
  })
  const batch = { AWS_BATCH_JOB_ARRAY_INDEX: '0', AWS_BATCH_JOB_ARRAY_SIZE: '2' }
  assert.deepEqual(taskFromEnv(batch), { index: 0, count: 2 })
})

test('a launcher that gives only one of the numbers gives none', () => {
  assert.equal(taskFromEnv({}), undefined)
  assert.equal(taskFromEnv({ JOB_COMPLETION_INDEX: '1' }), undefined)
  assert.equal(taskFromEnv({ AWS_BATCH_JOB_ARRAY_INDEX: '1' }), undefined)
})

test('an array with gaps is refused rather than leaving shards undone', () => {
  const gaps = {
    SLURM_ARRAY_TASK_ID: '5',
    SLURM_ARRAY_TASK_COUNT: '3',
    SLURM_ARRAY_TASK_MIN: '1',
    SLURM_ARRAY_TASK_MAX: '7',
  }
  assert.throws(() => taskFromEnv(gaps), { code: 'USAGE' })
  assert.throws(() => taskFromEnv({ JOB_COMPLETION_INDEX: '8', LONGSHORE_TASK_COUNT: '8' }), {
    code: 'USAGE',
  })
})

test('a task that waits in vain for the plan of task 0 makes the same plan, and says so', async (t) => {
  const source = writeTree(tempDir(t), sampleObjects(60, 50_000))
  const [alone, shared] = [tempDir(t), tempDir(t)]
  const { manifest } = await packInto(t, { source, destination: alone })
  const warnings: string[] = []
  const progress = { ...SILENT, warn: (message: string) => void warnings.push(message) }
  const options = { ...PACK_DEFAULTS, source, destination: shared, task: { index: 1, count: 2 } }
  const context = packContext(t, { context: { progress } })
  const early = await runPack(options, context, { planWaitMs: 30 })
  assert.match(warnings.join(), /no plan from task 0 after 0\.03 s/)
  assert.equal(early.manifest, undefined)
  assert.ok(early.packed > 0)
  const last = await packInto(t, { source, destination: shared, task: { index: 0, count: 2 } })
  assert.equal(last.manifest, manifest)
  assertSame(readTree(shared), readTree(alone))
})
