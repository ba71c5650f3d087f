import { resolve } from 'node:path'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import { createDrain, type Drain } from '../sync/drain.ts'
import { runSidecar, type SidecarOptions, type SidecarResult } from '../sync/sidecar.ts'
import { estimateSync } from '../sync/sidecar-estimate.ts'
import { matchPaths } from '../sync/sidecar-globs.ts'
import { checkHome } from '../sync/sidecar-home.ts'
import { openRemote } from '../sync/sidecar-remote.ts'
import { runChild } from './child.ts'
import type { CommandContext, Estimate } from './context.ts'

export interface SyncOptions {
  dir: string
  destination: string
  once: boolean
  layout: 'auto' | 'tensorflow' | 'marker' | 'settle'
  marker?: string | undefined
  /** ms without a change; for the settle layout, and the rescan every layout wants */
  settle: number
  /** ms */
  scanInterval: number
  keepLast?: number | undefined
  keepEvery?: number | undefined
  /** Copied, not committed (logs). */
  also: string[]
  /** ms; undefined: 25 s after a signal, unlimited after CMD ended */
  drainTimeout?: number | undefined
  unsafeSingleWriter: boolean
  command?: string[] | undefined
}

export interface SyncReport {
  destination: string
  epoch: number
  committed: { name: string; step: number | null; seq: number; bytes: number; files: number }[]
  /** Complete on disk, not committed when it stopped. */
  pending: string[]
  retired: string[]
  bytes: number
  requests: Record<string, number>
  retries: number
  seconds: number
  estimate?: Estimate | undefined
  /** 0 all committed; 75 not; with CMD its status, 75 when CMD succeeded and the drain did not */
  exit: number
}

/** ms: what a launcher leaves between SIGTERM and SIGKILL (Kubernetes: 30 s), less a margin. */
const AFTER_SIGNAL = 25_000

/**
 * Commits finished checkpoints of DIR to DST until it is stopped, or CMD has ended. Throws LOCKED, SUPERSEDED
 * (exit 6), and what is wrong with the destination before anything starts; later failures are tried again.
 */
export async function sync(options: SyncOptions, context: CommandContext): Promise<SyncReport> {
  const started = performance.now()
  check(options)
  const dir = resolve(options.dir)
  const rules = {
    dir,
    layout: options.layout === 'auto' && options.marker !== undefined ? 'marker' : options.layout,
    marker: options.marker === undefined ? undefined : matchPaths([options.marker]),
    also: options.also.length === 0 ? undefined : matchPaths(options.also),
    settle: options.settle,
    scanInterval: options.scanInterval,
  }
  const remote = await openRemote({ ...context, ...options, dir }).catch((error: unknown) => {
    throw startError(error)
  })
  const done = (result: SidecarResult, more: { exit: number; estimate?: Estimate }): SyncReport => ({
    destination: remote.url,
    epoch: result.epoch,
    committed: result.committed.map(({ name, step, seq, bytes, files }) => ({
      name,
      step,
      seq,
      bytes,
      files,
    })),
    pending: result.pending,
    retired: result.retired,
    bytes: result.bytes,
    requests: { ...remote.log.engine.stats.requests },
    retries: remote.log.engine.stats.retries,
    seconds: (performance.now() - started) / 1000,
    ...more,
  })
  try {
    if (context.dryRun) {
      const { pending, estimate } = await estimateSync({ ...rules, log: remote.log, ...context })
      const nothing = { epoch: remote.log.epoch, committed: [], looked: true, retired: [], bytes: 0 }
      return done({ ...nothing, pending }, { exit: 0, estimate })
    }
    // The owner of DIR clears away what probes for it left open: a second one must not even ask.
    await checkHome(dir)
    const conditional = await remote.probe(context.signal).catch((error: unknown) => {
      throw startError(error)
    })
    const { keepLast, keepEvery, once } = options
    const { progress, partSize } = context
    const side = { ...rules, keepLast, keepEvery, once, progress, partSize, log: remote.log, conditional }
    if (options.command !== undefined) {
      // Its owner may be about to end: this job would train on without a sidecar.
      await checkHome(dir)
      return await alongside(options.command, side)
    }
    const result = await until(side)
    return done(result, { exit: isDrained(result) ? 0 : 75 })
  } finally {
    await remote.close()
  }

  /** Stopped before DIR was looked at: what lies in it, or in the stage, may be complete. */
  function startError(error: unknown): unknown {
    if (!context.signal.aborted || context.dryRun || options.command !== undefined) return error
    return new LongshoreError('NOT_DRAINED', `stopped before ${options.destination} had answered`, {
      path: options.destination,
      hint: `nothing in ${options.dir} was looked at; run the same command again`,
    })
  }

  /** Without CMD: a signal begins the drain. */
  async function until(side: Omit<SidecarOptions, 'drain'>): Promise<SidecarResult> {
    const drain = createDrain()
    const onSignal = (): void => {
      drain.begin({ final: false })
      drain.limit(options.drainTimeout ?? AFTER_SIGNAL)
    }
    if (context.signal.aborted) onSignal()
    context.signal.addEventListener('abort', onSignal, { once: true })
    try {
      return await runSidecar({ ...side, drain })
    } finally {
      context.signal.removeEventListener('abort', onSignal)
      drain.dispose()
    }
  }

  /** With CMD: signals are CMD's; its end begins the drain, and its status is ours. */
  async function alongside(command: string[], side: Omit<SidecarOptions, 'drain'>): Promise<SyncReport> {
    const drain = createDrain()
    const sidecar = runSidecar({ ...side, drain }).then(
      (result) => ({ result, error: undefined }),
      (error: unknown) => ({ result: undefined, error }),
    )
    void sidecar.then(({ error }) => {
      // CMD is not ended for it: hours of training outweigh one copy.
      if (error !== undefined && !drain.ask.aborted) {
        const why = error instanceof Error ? error.message : String(error)
        context.progress.warn(`checkpoints are no longer committed: ${why}`, {
          hint: 'the command goes on; longshore ends with an error after it',
        })
      }
    })
    try {
      const { status, problem } = await runChild(command, context)
      if (problem !== undefined) context.progress.warn(problem)
      limitAfterCommand(drain, options, context)
      drain.begin({ final: true })
      const { result, error } = await sidecar
      if (result === undefined) {
        if (status === 0) throw error
        const { epoch } = remote.log
        const none = { epoch, committed: [], pending: [], looked: false, retired: [], bytes: 0 }
        if (isLongshoreError(error))
          context.progress.warn(error.message, { ...(error.hint ? { hint: error.hint } : {}) })
        return done(none, { exit: status })
      }
      return done(result, { exit: status === 0 && !isDrained(result) ? 75 : status })
    } catch (error) {
      // Stopped before CMD was started: the sidecar has to end before its store is closed.
      drain.begin({ final: true })
      drain.limit(0)
      await sidecar
      throw error
    } finally {
      drain.dispose()
    }
  }
}

function isDrained({ looked, pending }: SidecarResult): boolean {
  return looked && pending.length === 0
}

/** Unlimited, unless it was given or a signal has come: whoever sent it will not wait for ever. */
function limitAfterCommand(drain: Drain, options: SyncOptions, context: CommandContext): void {
  if (options.drainTimeout !== undefined) drain.limit(options.drainTimeout)
  else if (context.signal.aborted) drain.limit(AFTER_SIGNAL)
  else context.signal.addEventListener('abort', () => drain.limit(AFTER_SIGNAL), { once: true })
}

function check(options: SyncOptions): void {
  const usage = (message: string, hint: string): LongshoreError =>
    new LongshoreError('USAGE', message, { hint })
  if (options.layout === 'marker' && options.marker === undefined) {
    throw usage('--layout marker needs --marker GLOB', "for example --marker '*/DONE'")
  }
  if (options.marker !== undefined && !['auto', 'marker'].includes(options.layout)) {
    throw usage(`--marker is of no use to --layout ${options.layout}`, 'leave one of the two out')
  }
  if (options.keepEvery !== undefined && options.keepLast === undefined) {
    throw usage('--keep-every needs --keep-last N', 'without it every checkpoint is kept anyway')
  }
  if (options.once && options.command !== undefined) {
    throw usage('--once takes no command', 'without --once, the last look comes after the command has ended')
  }
}
