import assert from 'node:assert/strict'
import { test } from 'node:test'
import { taskFromEnv } from '../../src/pack/task.ts'

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
