import { spawn } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Run } from './types.ts'

const HELPER = join(import.meta.dirname, 'measure.py')
/** A tool that hangs must not hold up the rows after it, ms. */
const LIMIT_MS = 3_600_000

export interface Command {
  argv: string[]
  env: NodeJS.ProcessEnv
  /** Processes whose CPU time is counted as the server's. */
  serverPids?: number[]
}

/** Runs a command to its end; throws when it fails. What it printed comes with the figures. */
export type Measure = (command: Command) => Promise<{ run: Run; stdout: string }>

export interface MeasureOptions {
  python: string
  /** Existing folder, for the output of the commands. */
  dir: string
  signal: AbortSignal
}

export function createMeasure({ python, dir, signal }: MeasureOptions): Measure {
  const cwd = join(dir, 'cwd')
  return async ({ argv, env, serverPids = [] }) => {
    signal.throwIfAborted()
    await mkdir(cwd, { recursive: true })
    const stdout = join(dir, 'stdout')
    const stderr = join(dir, 'stderr')
    const order = { argv, env, serverPids, cwd, stdout, stderr }
    const answer = await ask({ python, order: JSON.stringify(order), signal })
    const { exit, serverSeconds, ...rest } = parse(answer)
    if (exit !== 0) {
      const said = (await readFile(stderr, 'utf8')).trim().split('\n').slice(-3).join(' | ').slice(-500)
      throw new Error(`ended with ${exit}: ${said || 'it said nothing'}`)
    }
    return {
      run: { ...rest, serverSeconds: serverSeconds ?? undefined },
      stdout: await readFile(stdout, 'utf8'),
    }
  }
}

interface Answer extends Omit<Run, 'serverSeconds'> {
  exit: number
  serverSeconds: number | null
}

function ask({ python, order, signal }: { python: string; order: string; signal: AbortSignal }) {
  return new Promise<string>((done, fail) => {
    // A process group of its own: an abort takes the tool and its children with it.
    const child = spawn(python, ['-I', HELPER], { stdio: ['pipe', 'pipe', 'inherit'], detached: true })
    let out = ''
    let late = false
    const kill = () => {
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // It has just ended.
      }
    }
    const timer = setTimeout(() => {
      late = true
      kill()
    }, LIMIT_MS)
    signal.addEventListener('abort', kill, { once: true })
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    child.on('error', fail)
    child.stdin.on('error', () => {})
    child.on('close', () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', kill)
      if (signal.aborted) fail(signal.reason)
      else if (late) fail(new Error(`not done after ${LIMIT_MS / 60_000} minutes`))
      else if (out === '') fail(new Error('could not be started'))
      else done(out)
    })
    child.stdin.end(order)
  })
}

function parse(text: string): Answer {
  const answer: unknown = JSON.parse(text)
  if (typeof answer === 'object' && answer !== null && 'exit' in answer && 'seconds' in answer)
    return answer as Answer
  throw new Error('the measuring helper gave no figures')
}
