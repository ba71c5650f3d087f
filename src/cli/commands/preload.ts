import type { Progress } from '../../progress.ts'
import { CACHE_SPECS, LIMIT_SPECS } from '../cache-specs.ts'
import { defineCommand } from '../command.ts'
import { estimateLines } from '../estimate.ts'
import { flag, list, value } from '../spec.ts'
import { oneOf, parseDuration, parseShare, wordOr } from '../units.ts'

const text = (given: string): string => given
const WEEK = 7 * 24 * 3600 * 1000

export const preloadCommand = defineCommand({
  name: 'preload',
  words: '<SRC...>',
  least: 1,
  most: Number.POSITIVE_INFINITY,
  takesCommand: true,
  summary: 'a dataset or prefix onto this node, before the job',
  description:
    'Fetches packed datasets or plain prefixes into immutable local folders and prints each folder. With CMD: runs it with LONGSHORE_DATA set to the folder (several: joined by colons), keeps the data leased while it runs, and ends with its status. CMD is not started when anything is missing.',
  examples: [
    'longshore preload s3://packed/imagenet/v1/ -- python train.py',
    'DATA=$(longshore preload s3://packed/imagenet/v1/) || exit',
    'longshore preload s3://packed/imagenet/v1/ --node auto --make-room',
  ],
  specs: {
    ...CACHE_SPECS,
    ...LIMIT_SPECS,
    node: value(
      '--node <R/W>',
      'equal share R of W, from 0/W; auto: from the launcher',
      wordOr('auto', (t) => {
        const { index, count } = parseShare(t)
        return { rank: index, world: count }
      }),
    ),
    include: list('--include <GLOB>', 'only files that match (may be repeated)'),
    exclude: list('--exclude <GLOB>', 'no files that match (may be repeated; wins over --include)'),
    verify: value('--verify <HOW>', 'checksum, size or none', oneOf(['checksum', 'size', 'none']), {
      fallback: 'checksum',
      unless: 'checksum',
    }),
    makeRoom: flag('--make-room', 'evict unleased data first, when the limits ask for it'),
    lease: value('--lease <DURATION>', 'keep the data from eviction this long', parseDuration, {
      fallback: WEEK,
      unless: '7d',
    }),
    leaseOwner: value('--lease-owner <ID>', 'whose lease it is (default: the Slurm or Kubernetes job)', text),
    pin: flag('--pin', 'keep the data from eviction until it is released'),
    link: value('--link <PATH>', 'make PATH a symbolic link to the folder', text),
    offline: flag('--offline', 'only what is in the cache; no request is made'),
    readOnly: flag('--read-only', 'use a cache that this user may not write'),
    check: flag('--check', 'say what is there and what is missing (exit 3); fetch nothing'),
    metricsFile: value('--metrics-file <FILE>', "write metrics for Prometheus' textfile collector", text),
  },
  async run({ words, tail, values, context, config }) {
    const { preload } = await import('../../commands/preload.ts')
    const command = tail === undefined ? undefined : [...tail]
    const progress = command === undefined ? context.progress : quietAtStart(context.progress, words.length)
    const report = await preload({ ...values, sources: [...words], command }, { ...context, progress })
    if (report.estimate !== undefined) {
      return { exit: report.exit, lines: estimateLines(report.estimate, config.prices), report }
    }
    for (const { source, missing } of report.sources) {
      if (missing === undefined || missing.count === 0) continue
      const more = missing.count > missing.first.length ? ', …' : ''
      context.progress.warn(`${source}: ${missing.count} missing: ${missing.first.join(', ')}${more}`)
    }
    // With CMD, stdout is CMD's: it knows the folder from LONGSHORE_DATA.
    const lines = command === undefined ? report.sources.map((source) => source.path) : []
    return { exit: report.exit, lines, report }
  },
})

/** CMD has the terminal to itself: nothing is drawn once every source is here. */
function quietAtStart(progress: Progress, sources: number): Progress {
  let here = 0
  return {
    ...progress,
    item(kind, fields) {
      progress.item(kind, fields)
      if (kind === 'preloaded' && ++here === sources) progress.phase('run')
    },
  }
}
