import type { DemoStep } from '../../commands/demo.ts'
import { defineCommand } from '../command.ts'
import { demoLines, stepLine } from '../demo-report.ts'
import { flag, value } from '../spec.ts'
import { parseCount } from '../units.ts'

export const demoCommand = defineCommand({
  name: 'demo',
  words: '',
  least: 0,
  most: 0,
  summary: 'the whole job on a local S3 server, in a temporary folder',
  description:
    'Starts a small S3 server on this machine, makes files (or takes yours with --from), and runs the whole job: pack, preload, verify, sync, restore, evict. Nothing leaves the machine; the folder is removed at the end.',
  examples: ['longshore demo', 'longshore demo --from ~/photos'],
  specs: {
    from: value('--from <FOLDER>', 'pack the files of this folder', (t) => t),
    files: value('--files <N>', 'how many files to make', (t) => parseCount(t, 1), {
      fallback: 2000,
      unless: '2000',
    }),
    keep: flag('--keep', 'keep the temporary folder and say where it is'),
  },
  drawsNoBar: true,
  async run({ values, globals, context, output }) {
    const { demo } = await import('../../commands/demo.ts')
    const onStep = (step: DemoStep): void => {
      context.progress.item('step', { name: step.name, seconds: step.seconds, ...step.facts })
      if (!globals.json) output.line(stepLine(step))
    }
    const report = await demo({ ...values, onStep }, context)
    return { exit: report.exit, lines: demoLines(report), report }
  },
})
