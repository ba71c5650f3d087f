import { readFileSync } from 'node:fs'
import { CommanderError } from 'commander'
import { LongshoreError } from '../errors.ts'
import { errorText, reportError } from './error-report.ts'
import { textLog } from './log.ts'
import { buildProgram, DEFINITIONS } from './program.ts'

/**
 * The whole life of one command line. It ends by process.exitCode; a handle that somebody left open delays the end
 * by LINGER_MS at most. Everything beyond the command tree is imported when a command runs.
 */
export async function main(argv: readonly string[]): Promise<void> {
  // It only saves memory.
  setTimeout(() => void longRun().catch(() => {}), LONG_MS).unref()
  process.on('unhandledRejection', fatal)
  process.on('uncaughtException', fatal)
  try {
    const program = buildProgram({
      version: version(),
      argv,
      write: (text) => process.stdout.write(text),
      onRequest: async (request) => {
        const { runRequest } = await import('./run-request.ts')
        process.exitCode = await runRequest(request, argv)
      },
    })
    quietPipe()
    await program.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    fail(error instanceof CommanderError ? usageError(error, argv) : error, argv)
  } finally {
    linger()
  }
}

const LINGER_MS = 3000
/** A run that is no longer than this is over before its heaps are large. */
const LONG_MS = 1000

async function longRun(): Promise<void> {
  const { limitHeaps } = await import('./heap.ts')
  limitHeaps()
}

function linger(): void {
  setTimeout(() => process.exit(), LINGER_MS).unref()
}

/** Errors of the command tree itself: nothing has been set up yet, so they are written plainly. */
function fail(error: unknown, argv: readonly string[]): void {
  const report = reportError(error)
  process.exitCode = report.exit
  if (argv.includes('--json')) {
    const { code, message, hint, path, exit } = report
    process.stdout.write(`${JSON.stringify({ type: 'error', code, message, hint, path, exit })}\n`)
  }
  const verbose = argv.includes('-v') || argv.includes('--verbose')
  const log = textLog({ verbose, color: false, stream: process.stderr })
  log.write('error', errorText(report), verbose ? { stack: report.stack } : {})
}

/** commander's message, with the suggestion as the mend and where to read on. */
function usageError(error: CommanderError, argv: readonly string[]): LongshoreError {
  const [first = '', second = ''] = error.message.replace(/^error: /, '').split('\n')
  const near = /Did you mean (?:one of )?(.+)\?\)/.exec(second)?.[1]
  const bare = error.code === 'commander.help' || error.message === '(outputHelp)'
  const message = bare ? 'no command given' : first
  const name = argv.find((word) => DEFINITIONS.some((definition) => definition.name === word))
  return new LongshoreError('USAGE', message, {
    hint: `${near === undefined ? '' : `did you mean ${near}? `}${tryHelp(name)}`,
    cause: error,
  })
}

function tryHelp(name: string | undefined): string {
  return `Try: longshore ${name === undefined ? '' : `${name} `}--help`
}

function quietPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  process.stderr.on('error', () => {})
}

/** A bug in a place that nobody awaits: still one line and a status, never a bare trace. */
function fatal(error: unknown): void {
  fail(error, process.argv.slice(2))
  process.exit()
}

function version(): string {
  // A build is one folder.
  const up = import.meta.url.endsWith('.ts') ? '../..' : '..'
  const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
