import { LongshoreError } from '../errors.ts'

export interface Task {
  /** 0 … count - 1 */
  index: number
  count: number
}

/**
 * This process's share when a launcher started many of them: a Slurm array, an indexed Kubernetes Job, an AWS
 * Batch array. undefined: none of them gave both numbers. Kubernetes tells a pod its index only, so the Job's
 * manifest passes the count as LONGSHORE_TASK_COUNT. An array whose ids are unevenly spaced (`--array=1,5,7`)
 * tells no position: USAGE, since guessing would leave shards undone.
 */
export function taskFromEnv(env: Readonly<Record<string, string | undefined>>): Task | undefined {
  const number = (name: string): number | undefined => {
    const text = env[name]
    return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
  }
  const id = number('SLURM_ARRAY_TASK_ID')
  const size = number('SLURM_ARRAY_TASK_COUNT')
  const min = number('SLURM_ARRAY_TASK_MIN')
  if (id !== undefined && size !== undefined && min !== undefined) {
    return fromSlurm({
      id,
      size,
      min,
      max: number('SLURM_ARRAY_TASK_MAX'),
      step: number('SLURM_ARRAY_TASK_STEP'),
    })
  }
  const pod = number('JOB_COMPLETION_INDEX')
  const pods = number('LONGSHORE_TASK_COUNT') ?? number('JOB_COMPLETIONS')
  if (pod !== undefined && pods !== undefined)
    return inRange({ index: pod, count: pods }, 'JOB_COMPLETION_INDEX')
  const child = number('AWS_BATCH_JOB_ARRAY_INDEX')
  const children = number('AWS_BATCH_JOB_ARRAY_SIZE')
  if (child !== undefined && children !== undefined) {
    return inRange({ index: child, count: children }, 'AWS_BATCH_JOB_ARRAY_INDEX')
  }
  return undefined
}

function fromSlurm(array: {
  id: number
  size: number
  min: number
  max: number | undefined
  step: number | undefined
}): Task {
  const step = array.step ?? 1
  const index = (array.id - array.min) / step
  const last = array.max === undefined ? array.size - 1 : (array.max - array.min) / step
  if (!Number.isInteger(index) || last !== array.size - 1) {
    throw new LongshoreError('USAGE', 'the ids of this Slurm array are not evenly spaced', {
      path: 'SLURM_ARRAY_TASK_ID',
      hint: 'use --array=0-N, or give --task I/N',
    })
  }
  return inRange({ index, count: array.size }, 'SLURM_ARRAY_TASK_ID')
}

function inRange(task: Task, name: string): Task {
  if (task.count >= 1 && task.index < task.count) return task
  throw new LongshoreError('USAGE', `${name} is ${task.index}, of only ${task.count} tasks`, {
    path: name,
    hint: 'give --task I/N, I counted from 0',
  })
}
