import { closeSync, open, openSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Outcome } from '../../src/cli/command.ts'
import { GLOBALS } from '../../src/cli/global-options.ts'
import type { Request } from '../../src/cli/program.ts'
import { runRequest } from '../../src/cli/run-request.ts'
import type { CommandContext } from '../../src/commands/context.ts'
import { stuck } from '../../src/fs/stuck.ts'

const [fifo = '', how = ''] = process.argv.slice(2)
const GRACE_MS = 500

/** The disk, as far as a pipe that nobody reads is one: it holds a thread of the pool, or all four of them. */
const hang = (threads: number) => {
  for (let n = 0; n < threads; n++) open(fifo, 'w', () => {})
}
/** It answers again. */
const answer = async () => {
  const file = openSync(fifo, 'r+')
  while (process.getActiveResourcesInfo().some((kind) => kind.startsWith('FSReq'))) await sleep(5)
  closeSync(file)
}
const done = (exit: Outcome['exit']): Outcome => ({ lines: [], report: {}, exit })

const WAYS: Record<string, (context: CommandContext) => Promise<Outcome>> = {
  async throw() {
    hang(1)
    throw stuck('/mnt/dead', 60_000)
  },
  async wait() {
    hang(1)
    process.stdout.write('waiting\n')
    return new Promise(() => {})
  },
  async clean({ engine }) {
    hang(4)
    const error = stuck('/mnt/dead', 60_000)
    engine.onStuck?.(error)
    try {
      throw error
    } finally {
      await rm(`${fifo}.tmp`, { force: true })
    }
  },
  async block({ engine }) {
    engine.onStuck?.(stuck('/mnt/dead', 60_000))
    openSync(fifo, 'w')
    return done(0)
  },
  async report({ engine }) {
    hang(1)
    engine.onStuck?.(stuck('/mnt/dead', 60_000))
    return done(3)
  },
  async mend({ engine }) {
    hang(1)
    engine.onStuck?.(stuck('/mnt/dead', 60_000))
    await answer()
    return done(3)
  },
  async outlive({ engine }) {
    hang(1)
    engine.onStuck?.(stuck('/mnt/dead', 60_000))
    await sleep(3 * GRACE_MS)
    process.stderr.write('went on\n')
    return done(75)
  },
}

/**
 * `stuck-child.ts FIFO HOW`: a command with --json whose disk does not answer. It throws STUCK, waits for signals,
 * waits for its cleanup on that disk in one way or another, reports what is missing, or goes on.
 */
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
    outlivesStuck: how === 'outlive',
    run: ({ context }) => WAYS[how]?.(context) ?? Promise.reject(new Error(`no ${how}`)),
  },
  words: [],
  tail: undefined,
  given: (spec) => (spec === GLOBALS.json ? true : undefined),
}
process.exitCode = await runRequest(request, ['--json'], { graceMs: GRACE_MS })
