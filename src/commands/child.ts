import { spawn } from 'node:child_process'
import { constants } from 'node:os'

/** Signals that launchers, Slurm and people send to a job: all of them are meant for CMD. */
const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const

export interface RunChildOptions {
  env: Readonly<Record<string, string | undefined>>
  /** Aborted without a signal to this process (library use): CMD is sent SIGTERM. */
  signal?: AbortSignal | undefined
  onSpawn?: ((pid: number) => void) | undefined
}

export interface ChildResult {
  /** CMD's exit status; 128+n when signal n ended it; 127 not found, 126 found but not started. */
  status: number
  /** Why it could not be started: one line for the caller to show. */
  problem?: string | undefined
}

/**
 * Runs CMD with this process's stdin, stdout and stderr and waits for its end. It stays in the same process group,
 * so job control works; signals that reach this process are passed on, and its own end is left to the caller.
 */
export async function runChild(command: readonly string[], options: RunChildOptions): Promise<ChildResult> {
  const [file = '', ...args] = command
  options.signal?.throwIfAborted()
  let passed = false
  let kill = (_name: NodeJS.Signals): void => {}
  const handlers = FORWARDED.map((name) => {
    const handler = (): void => {
      passed = true
      // Ctrl-C: the terminal has sent SIGINT to the whole group already; a second one would cut a trainer's save short.
      if (name === 'SIGINT' && process.stdin.isTTY) return
      kill(name)
    }
    return [name, handler] as const
  })
  // The command line aborts `signal` from its own handler of the same signal: wait until every handler has run.
  const onAbort = (): void => {
    setImmediate(() => {
      if (!passed) kill('SIGTERM')
    })
  }
  // Before the spawn: a signal in between would end this process and leave CMD alone.
  for (const [name, handler] of handlers) process.on(name, handler)
  options.signal?.addEventListener('abort', onAbort, { once: true })
  try {
    return await new Promise<ChildResult>((resolve) => {
      let child: ReturnType<typeof spawn>
      try {
        child = spawn(file, args, { stdio: 'inherit', env: { ...options.env } })
      } catch (error) {
        resolve(notStarted(file, error))
        return
      }
      kill = (name) => {
        child.kill(name)
      }
      child.once('error', (error) => {
        // 'error' also tells of a kill() that failed: then CMD runs on.
        if (child.pid === undefined) resolve(notStarted(file, error))
      })
      child.once('exit', (code, name) => {
        resolve({ status: name === null ? (code ?? 1) : 128 + constants.signals[name] })
      })
      if (child.pid !== undefined) options.onSpawn?.(child.pid)
    })
  } finally {
    kill = () => {}
    options.signal?.removeEventListener('abort', onAbort)
    for (const [name, handler] of handlers) process.off(name, handler)
  }
}

function notStarted(file: string, error: unknown): ChildResult {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT') return { status: 127, problem: `${JSON.stringify(file)}: command not found` }
  const why = code === 'EACCES' ? 'permission denied' : error instanceof Error ? error.message : String(error)
  return { status: 126, problem: `${JSON.stringify(file)} could not be started: ${why}` }
}
