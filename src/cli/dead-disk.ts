import { createRequire } from 'node:module'
import type { Worker } from 'node:worker_threads'
import type { LongshoreError } from '../errors.ts'
import { within } from '../within.ts'
import { errorText, reportError } from './error-report.ts'
import { printable } from './format.ts'

/** ms that a command has to end in order once a disk does not answer: what it cleans up may lie on that disk. */
const GRACE_MS = 10_000
/** ms for what was written to leave the process */
const FLUSH_MS = 2000

/**
 * A disk that does not answer holds a thread in the kernel, and node's exit waits for its threads: a command that met
 * one can't end in order, and may not even come to the end of its own cleanup.
 */
export interface DeadDisk {
  /** The first STUCK; undefined: every disk has answered so far. */
  readonly error: LongshoreError | undefined
  /** One of them still holds a thread. */
  readonly holds: boolean
  /** Rejects with the first STUCK, where the command has not settled by itself a grace later. */
  overdue: Promise<never>
  /** A disk did not answer. `ends`: nor does the command go on. */
  met(error: LongshoreError, options: { ends: boolean }): void
  /** Worker threads that an engine could not end. */
  hold(threads: number): void
  /** The command has settled. */
  settled(): void
}

export function watchDisk({ graceMs = GRACE_MS }: { graceMs?: number | undefined } = {}): DeadDisk {
  let first: LongshoreError | undefined
  let timer: NodeJS.Timeout | undefined
  let reaper: Worker | undefined
  let over = false
  let held = 0
  let fail: (error: LongshoreError) => void
  const overdue = new Promise<never>((_, reject) => {
    fail = reject
  })
  return {
    get error() {
      return first
    },
    get holds() {
      return first !== undefined && (held > 0 || waitsForFiles())
    },
    overdue,
    met(error, { ends }) {
      first ??= error
      if (over || !ends || timer !== undefined) return
      timer = setTimeout(() => fail(error), graceMs)
      reaper = startReaper(error, graceMs + 2 * FLUSH_MS)
    },
    hold(threads) {
      held += threads
    },
    settled() {
      over = true
      clearTimeout(timer)
      void reaper?.terminate()
    },
  }
}

function waitsForFiles(): boolean {
  return process.getActiveResourcesInfo().some((kind) => kind.startsWith('FSReq'))
}

/** For a main thread that has gone to wait for that disk itself, in a call that is not asynchronous: it has no timers. */
function startReaper(error: LongshoreError, afterMs: number): Worker {
  // Not imported: each command would start a millisecond later. Nor by import(): the main thread may block at once.
  const threads: typeof import('node:worker_threads') = createRequire(import.meta.url)('node:worker_threads')
  const reaper = new threads.Worker(
    `const { workerData: { line, afterMs } } = require('node:worker_threads')
    setTimeout(() => {
      try { require('node:fs').writeSync(2, line) } catch {}
      process.kill(process.pid, 'SIGKILL')
    }, afterMs)`,
    { eval: true, workerData: { line: `longshore: ${printable(errorText(reportError(error)))}\n`, afterMs } },
  )
  reaper.unref()
  return reaper
}

/** Ends this process without its threads, once its output has left it, or can't. */
export async function endHard(flushed: readonly Promise<void>[]): Promise<never> {
  await within(Promise.all(flushed), FLUSH_MS)
  process.kill(process.pid, 'SIGKILL')
  // Still here: process 1 of a container can't be sent that. It can crash.
  process.abort()
}
