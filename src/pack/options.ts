import type { PackOptions } from '../commands/pack.ts'
import { LongshoreError } from '../errors.ts'
import { isSplitName } from './names.ts'

const MIB = 1024 * 1024

/** Refuses what makes no sense before anything is opened. Every message names the option. */
export function checkOptions(options: PackOptions): void {
  const { shardSize, maxSamples, task, shuffle } = options
  if (shardSize !== 'auto' && !(Number.isSafeInteger(shardSize) && shardSize >= MIB)) {
    throw usage(
      '--shard-size',
      `--shard-size is ${shardSize} bytes, the least is 1 MiB`,
      'Write a unit: 256MiB.',
    )
  }
  if (maxSamples !== undefined && !(Number.isSafeInteger(maxSamples) && maxSamples >= 1)) {
    throw usage('--max-samples', `--max-samples is ${maxSamples}`, 'Give a whole number from 1.')
  }
  if (typeof shuffle === 'number' && !Number.isSafeInteger(shuffle)) {
    throw usage('--shuffle', `the seed ${shuffle} is no whole number`, 'Give a whole number.')
  }
  if (
    task &&
    !(Number.isInteger(task.index) && task.index >= 0 && task.index < task.count && task.count <= 1e6)
  ) {
    throw usage('--task', `there is no task ${task.index}/${task.count}`, 'Write I/N, I counted from 0.')
  }
  if (!isSplitName(options.name)) {
    const name = JSON.stringify(options.name)
    throw usage(
      '--name',
      `--name ${name} can't begin the name of a shard`,
      'Use letters, digits, "-" and "_".',
    )
  }
  for (const ext of options.require) {
    if (!/^[^\s/.]/.test(bare(ext)))
      throw usage('--require', `${JSON.stringify(ext)} is no extension`, 'Write jpg,cls.')
  }
}

/** The options that decide the bytes: part of the plan's digest, and listed in the manifest. */
export function canonicalOptions(options: PackOptions, list: string | null) {
  return {
    format: options.format,
    shardSize: options.shardSize,
    maxSamples: options.maxSamples ?? null,
    name: options.split === undefined ? options.name : null,
    split: options.split ?? null,
    include: [...options.include].sort(),
    exclude: [...options.exclude].sort(),
    /** SHA-256 of the sorted list of --files-from. */
    filesFrom: list,
    groupBy: options.groupBy,
    require: [...new Set(options.require.map(bare))].sort(),
    onMissing: options.onMissing,
    onUnpackable: options.onUnpackable ?? 'fail',
    /** 'default': seed 0, and none for splits that are named like val or test. */
    shuffle: options.shuffle ?? 'default',
  }
}

export type CanonicalOptions = ReturnType<typeof canonicalOptions>

function bare(ext: string): string {
  return ext.replace(/^\./, '').toLowerCase()
}

function usage(path: string, message: string, hint: string): LongshoreError {
  return new LongshoreError('USAGE', message, { path, hint })
}
