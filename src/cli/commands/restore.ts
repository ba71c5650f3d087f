import { LongshoreError } from '../../errors.ts'
import { defineCommand } from '../command.ts'
import { estimateLines } from '../estimate.ts'
import { ago, bytes, count, table } from '../format.ts'
import { flag, value } from '../spec.ts'
import { oneOf } from '../units.ts'

export const restoreCommand = defineCommand({
  name: 'restore',
  words: '<SRC> [DIR]',
  least: 1,
  most: 2,
  summary: 'the newest committed checkpoint back into a folder',
  description:
    'Fetches the newest committed checkpoint of SRC (or --step) into DIR, verified, and prints its absolute path. DIR is left as it was when anything fails.',
  examples: [
    'longshore restore s3://runs/r17/ /nvme/ckpt --allow-none',
    'longshore restore s3://runs/r17/ /nvme/ckpt --step 12000 --if-exists replace',
    'longshore restore s3://runs/r17/ --list',
  ],
  specs: {
    step: value('--step <STEP>', "latest, a step, or a checkpoint's name", parseStep, {
      fallback: 'latest',
      unless: 'latest',
    }),
    ifExists: value(
      '--if-exists <WHAT>',
      'files already there: skip identical ones, fail, or replace',
      oneOf(['skip', 'fail', 'replace']),
      { fallback: 'skip', unless: 'skip' },
    ),
    allowNone: flag('--allow-none', 'nothing to restore is exit 0, and prints nothing'),
    list: flag('--list', 'list the committed checkpoints, newest first'),
  },
  async run({ words, values, context, config, columns }) {
    if (words[1] === undefined && !values.list) {
      throw new LongshoreError('USAGE', 'DIR is missing', {
        hint: 'say where the checkpoint goes, or --list',
      })
    }
    const { restore } = await import('../../commands/restore.ts')
    const report = await restore({ ...values, source: words[0] ?? '', dir: words[1] ?? '.' }, context)
    if (report.estimate !== undefined) {
      return { exit: report.exit, lines: estimateLines(report.estimate, config.prices), report }
    }
    if (values.list) return { exit: report.exit, lines: listLines(report.listed, columns), report }
    return { exit: report.exit, lines: report.path === undefined ? [] : [report.path], report }
  },
})

function parseStep(text: string): number | string {
  return /^\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : text
}

interface Listed {
  name: string
  step: number | null
  epoch: number
  files: number
  bytes: number
  committed: string
}

function listLines(listed: readonly Listed[], columns: number): string[] {
  return table(
    [
      { title: 'CHECKPOINT', shrink: true },
      { title: 'STEP', right: true },
      { title: 'EPOCH', right: true },
      { title: 'FILES', right: true },
      { title: 'SIZE', right: true },
      { title: 'COMMITTED' },
    ],
    listed.map((one) => [
      one.name,
      one.step === null ? '-' : String(one.step),
      String(one.epoch),
      count(one.files),
      bytes(one.bytes),
      when(one.committed),
    ]),
    columns,
  )
}

/** The writer's clock; a record without one shows as it is. */
function when(committed: string): string {
  const at = Date.parse(committed)
  return Number.isNaN(at) ? committed : ago(at)
}
