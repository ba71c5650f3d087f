import type { PackReport } from '../../commands/pack.ts'
import { defineCommand } from '../command.ts'
import { estimateLines } from '../estimate.ts'
import { bytes, count, counted, seconds } from '../format.ts'
import { list, switchable, value } from '../spec.ts'
import { oneOf, parseCount, parseShare, parseSize, wordOr } from '../units.ts'

const text = (given: string): string => given

/** One of a few words, the first without the option. */
function choice<const T extends string>(flags: string, description: string, words: readonly [T, ...T[]]) {
  const [fallback] = words
  return value(flags, description, oneOf(words), { fallback, unless: fallback })
}

export const packCommand = defineCommand({
  name: 'pack',
  words: '<SRC> <DST>',
  least: 2,
  most: 2,
  summary: 'many small objects into a few large shards',
  description:
    'Packs the objects under SRC into WebDataset tar shards at DST, with a manifest that is written last. SRC and DST are s3://bucket/prefix/ or local folders. Killed or run twice, it ends with the same bytes.',
  examples: [
    'longshore pack s3://raw/imagenet/train/ s3://packed/imagenet/v1/',
    'longshore pack ./photos s3://packed/photos/v1/ --require jpg,json',
    'longshore pack s3://raw/birds/ s3://packed/birds/v1/ --split dir',
  ],
  specs: {
    format: choice('--format <FORMAT>', 'layout of the shards: tar', ['tar']),
    shardSize: value(
      '--shard-size <SIZE>',
      'size of a shard, or auto: 256MiB, smaller (16MiB at least) to reach 128 shards',
      wordOr('auto', parseSize),
      { fallback: 'auto', unless: 'auto' },
    ),
    maxSamples: value('--max-samples <N>', 'most samples in a shard', (t) => parseCount(t, 1)),
    name: value('--name <NAME>', 'first part of the shard names', text, {
      fallback: 'train',
      unless: 'train',
    }),
    split: value('--split <HOW>', 'dir: the first folder under SRC is the split', oneOf(['dir'])),
    include: list('--include <GLOB>', 'only keys that match (may be repeated)'),
    exclude: list('--exclude <GLOB>', 'no keys that match (may be repeated; wins over --include)'),
    filesFrom: value('--files-from <FILE>', 'take the keys from FILE, one a line; - is stdin', text),
    groupBy: choice('--group-by <HOW>', 'stem: files of one stem are a sample; none: each file is', [
      'stem',
      'none',
    ]),
    require: list('--require <EXT,...>', 'extensions that every sample must have', { commas: true }),
    onMissing: choice(
      '--on-missing <WHAT>',
      'a sample without a required extension: abort, warn or exclude',
      ['abort', 'warn', 'exclude'],
    ),
    onUnpackable: choice(
      '--on-unpackable <WHAT>',
      'keys that the format cannot hold: fail, or skip them (exit 3)',
      ['fail', 'skip'],
    ),
    shuffle: switchable(
      '--shuffle <SEED>',
      'order of the samples (default: seed 0; off for val and test splits)',
      'keep the order of the keys',
      (t) => parseCount(t, 0),
    ),
    onChanged: choice(
      '--on-changed <WHAT>',
      'an object that changed since the listing: fail, or skip it (exit 3)',
      ['fail', 'skip'],
    ),
    task: value(
      '--task <I/N>',
      "this task's share, from 0/N (default: from Slurm, Kubernetes or AWS Batch arrays)",
      parseShare,
    ),
  },
  async run({ words, values, context, config }) {
    const [source = '', destination = ''] = words
    const { pack } = await import('../../commands/pack.ts')
    const report = await pack({ ...values, source, destination }, context)
    const lines =
      report.estimate === undefined ? [packLine(report)] : estimateLines(report.estimate, config.prices)
    return { exit: report.exit, lines, report }
  },
})

/** `s3://packed/v1/: 12,345 objects (1.2 GiB) in 128 shards, seed 0; packed 128, kept 0; 42 s` */
export function packLine(report: PackReport): string {
  const shards = report.splits.reduce((sum, split) => sum + split.shards, 0)
  const samples = report.splits.reduce((sum, split) => sum + split.samples, 0)
  const order = report.splits.map((split) => {
    const seed = split.seed === null ? 'in key order' : `shuffled with seed ${split.seed}`
    return report.splits.length === 1 ? seed : `${split.name} ${seed}`
  })
  const list = report.leftList === undefined ? '' : ` (${report.leftList})`
  const left = report.leftCount === 0 ? '' : `; left out ${counted(report.leftCount, 'object')}${list}`
  const open = report.manifest === undefined ? '; other tasks have shards to finish' : ''
  return (
    `${report.destination}: ${counted(report.objects, 'object')}, ${counted(samples, 'sample')} ` +
    `(${bytes(report.bytes)}) in ${counted(shards, 'shard')}, ${order.join(', ') || 'empty'}; ` +
    `packed ${count(report.packed)}, kept ${count(report.kept)}${left}${open}; ${seconds(report.seconds)}`
  )
}
