import { defineCommand } from '../command.ts'
import { estimateLines } from '../estimate.ts'
import { flag, list, value } from '../spec.ts'
import { oneOf, parseCount, parseDuration } from '../units.ts'

export const syncCommand = defineCommand({
  name: 'sync',
  mostWorkers: 2,
  words: '<DIR> <DST>',
  least: 2,
  most: 2,
  takesCommand: true,
  tellsItems: true,
  drawsNoBar: true,
  outlivesStuck: true,
  summary: 'finished checkpoints to S3, while the job runs',
  description:
    'Watches DIR and commits each finished checkpoint to DST, until it is stopped. SIGTERM drains: the exit status says whether everything finished was committed (0) or not (75). With CMD: runs it, commits while it runs, drains after it and ends with its status.',
  examples: [
    'longshore sync /nvme/ckpt s3://runs/r17/',
    'longshore sync /nvme/ckpt s3://runs/r17/ -- python train.py',
    "longshore sync /nvme/ckpt s3://runs/r17/ --marker '*/DONE' --keep-last 3",
  ],
  specs: {
    once: flag('--once', 'commit what is finished now, and end'),
    layout: value(
      '--layout <LAYOUT>',
      'how a finished checkpoint is recognised: auto, tensorflow, marker or settle',
      oneOf(['auto', 'tensorflow', 'marker', 'settle']),
      { fallback: 'auto', unless: 'auto' },
    ),
    marker: value('--marker <GLOB>', 'the file that says a checkpoint is finished', (t) => t),
    settle: value('--settle <DURATION>', 'how long nothing may change', parseDuration, {
      fallback: 10_000,
      unless: '10s',
    }),
    scanInterval: value('--scan-interval <DURATION>', 'how often DIR is looked at', parseDuration, {
      fallback: 2000,
      unless: '2s',
    }),
    keepLast: value('--keep-last <N>', 'retire all but the newest N in DST', (t) => parseCount(t, 1)),
    keepEvery: value('--keep-every <K>', 'never retire steps that are multiples of K', (t) =>
      parseCount(t, 1),
    ),
    also: list('--also <GLOB>', 'copy these too, such as logs; not part of a commit (may be repeated)'),
    drainTimeout: value(
      '--drain-timeout <DURATION>',
      'how long to go on after a signal or after CMD (default: 25s; no limit after CMD)',
      parseDuration,
    ),
    unsafeSingleWriter: flag(
      '--unsafe-single-writer',
      'use a store that ignores conditional writes; you see to it that there is one writer',
    ),
  },
  async run({ words, tail, values, context, config }) {
    const [dir = '', destination = ''] = words
    const { sync } = await import('../../commands/sync.ts')
    const command = tail === undefined ? undefined : [...tail]
    const report = await sync({ ...values, dir, destination, command }, context)
    if (report.estimate !== undefined) {
      return { exit: report.exit, lines: estimateLines(report.estimate, config.prices), report }
    }
    return { exit: report.exit, lines: [], report }
  },
})
