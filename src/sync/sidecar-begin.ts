import { hostname } from 'node:os'
import type { Drain } from './drain.ts'
import { type LogWriter, takeOver } from './epoch.ts'
import { type CheckpointLog, placeUrl } from './log.ts'
import type { Conditional } from './probe.ts'
import type { Wake } from './scan-watch.ts'
import { type Handled, openHandled } from './sidecar-handled.ts'
import { type RecoverOptions, recoverPending } from './sidecar-recover.ts'
import { codeOf, type Say } from './sidecar-say.ts'

export interface BeginOptions extends Omit<RecoverOptions, 'writer' | 'handled'> {
  log: CheckpointLog
  conditional: Conditional
  /** DIR/.longshore */
  stateDir: string
  once: boolean
  drain: Drain
  say: Say
  added: Wake
}

/** The store, or the way to it: it was well at the start, and will be again. */
const PASSING = new Set(['UNREACHABLE', 'TIMEOUT', 'SERVER', 'THROTTLED', 'STUCK'])
/** ms */
const FIRST_RETRY = 500
const LAST_RETRY = 30_000
const LAST_RETRY_DRAINING = 3_000

/**
 * Takes the run over and takes up what a killed run left. DIR may appear hours after the start: a store that is
 * down at that moment must not end the sidecar, or a job goes on for days without one. With `once` it does.
 */
export async function beginRun(options: BeginOptions): Promise<{ writer: LogWriter; handled: Handled }> {
  const { log, signal, say, drain } = options
  let writer: LogWriter | undefined
  for (let fails = 0; ; fails++) {
    try {
      writer ??= await takeOver(log, {
        signal,
        conditional: options.conditional,
        stateDir: options.stateDir,
        host: hostname(),
      })
      const handled = await openHandled(writer, { signal })
      await recoverPending({ ...options, writer, handled })
      return { writer, handled }
    } catch (error) {
      signal.throwIfAborted()
      if (options.once || !PASSING.has(codeOf(error))) throw error
      say.failure(`${placeUrl(log)} can not be taken over yet`, error)
    }
    const longest = drain.ask.aborted ? LAST_RETRY_DRAINING : LAST_RETRY
    await options.added.wait(Math.min(longest, FIRST_RETRY * 2 ** Math.min(fails, 10)), signal)
    signal.throwIfAborted()
  }
}
