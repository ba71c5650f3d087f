import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const BIN = fileURLToPath(new URL('../../bin/longshore.js', import.meta.url))

export interface CliResult {
  /** 128+n when signal n ended it. */
  code: number
  stdout: string
  stderr: string
}

export interface CliOptions {
  /** Added to a clean environment: nothing of the caller's AWS_* or LONGSHORE_* (but the lane), no config file of the user's. */
  env?: Readonly<Record<string, string | undefined>> | undefined
  cwd?: string | undefined
  input?: string | Uint8Array | undefined
  /** Sent as SIGTERM when it aborts. */
  signal?: AbortSignal | undefined
  /** ms until it is killed, and the result is code 137. Default 100,000. */
  timeout?: number | undefined
}

/** Runs the built command line to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = startCli(args, options)
  const collected = collect(child)
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 100_000)
  const stop = (): void => {
    child.kill('SIGTERM')
  }
  options.signal?.addEventListener('abort', stop, { once: true })
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  try {
    return await collected
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', stop)
  }
}

/** Starts it and lets the test talk to it; pair with collect(). */
export function startCli(args: readonly string[], options: CliOptions = {}): ChildProcessWithoutNullStreams {
  return spawn(process.execPath, [BIN, ...args], { cwd: options.cwd, env: cleanEnv(options.env) })
}

export function collect(child: ChildProcessWithoutNullStreams): Promise<CliResult> {
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => {
      const numbers: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 130, SIGTERM: 143, SIGKILL: 137 }
      resolve({
        code: status ?? (signal === null ? 1 : (numbers[signal] ?? 1)),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      })
    })
  })
}

export function cleanEnv(added: CliOptions['env'] = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(AWS_|LONGSHORE_(?!LANE$)|S3_|SLURM_|JOB_COMPLETION_INDEX|NODE_TEST|NO_COLOR|FORCE_COLOR)/.test(
        name,
      ),
  )
  return {
    ...Object.fromEntries(kept),
    XDG_CONFIG_HOME: '/nonexistent',
    AWS_CONFIG_FILE: '/nonexistent',
    AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...added,
  }
}

/** The JSON lines of stdout. */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}
