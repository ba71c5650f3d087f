import { open } from 'node:fs'
import { GLOBALS } from '../../src/cli/global-options.ts'
import type { Request } from '../../src/cli/program.ts'
import { runRequest } from '../../src/cli/run-request.ts'
import { stuck } from '../../src/fs/stuck.ts'

/**
 * `stuck-child.ts FIFO throw|wait`: a command with --json that waits for a disk which does not answer, as far as a
 * pipe that nobody reads is one. It throws STUCK, or waits for signals.
 */
const [fifo = '', how] = process.argv.slice(2)
const request: Request = {
  definition: {
    ...{
      name: 'status',
      words: '',
      least: 0,
      most: 0,
      summary: '',
      description: '',
      examples: [],
      specs: {},
    },
    async run() {
      open(fifo, 'w', () => {})
      if (how === 'throw') throw stuck('/mnt/dead', 60_000)
      process.stdout.write('waiting\n')
      return new Promise(() => {})
    },
  },
  words: [],
  tail: undefined,
  given: (spec) => (spec === GLOBALS.json ? true : undefined),
}
process.exitCode = await runRequest(request, ['--json'])
