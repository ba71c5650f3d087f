import { LongshoreError } from '../errors.ts'

/**
 * When a sidecar ends. The first signal or CMD's end asks for a last look and for everything pending to be
 * committed; only `stop` cuts work short. Uploads never see the process's own signal.
 */
export interface Drain {
  /** Aborted: look for a last time, commit what is complete, end. */
  readonly ask: AbortSignal
  /** Aborted: end now; what is pending stays staged for the next run. */
  readonly stop: AbortSignal
  /** CMD has ended, nothing writes any more: one unchanged rescan proves a checkpoint, --settle or not. */
  readonly final: boolean
  begin(options: { final: boolean }): void
  /** From now on at most `ms` are left; an earlier limit stays. */
  limit(ms: number): void
  dispose(): void
}

export function createDrain(): Drain {
  const ask = new AbortController()
  const stop = new AbortController()
  let final = false
  let deadline = Number.POSITIVE_INFINITY
  let timer: NodeJS.Timeout | undefined
  return {
    ask: ask.signal,
    stop: stop.signal,
    get final() {
      return final
    },
    begin(options) {
      final ||= options.final
      if (!ask.signal.aborted) ask.abort(new LongshoreError('TERMINATED', 'asked to end'))
    },
    limit(ms) {
      const at = performance.now() + ms
      if (at >= deadline) return
      deadline = at
      clearTimeout(timer)
      timer = setTimeout(() => stop.abort(notDrained()), ms)
    },
    dispose() {
      clearTimeout(timer)
    },
  }
}

function notDrained(): LongshoreError {
  return new LongshoreError('NOT_DRAINED', 'stopped before everything pending was committed', {
    hint: 'run the same command again: what was complete is kept in .longshore/stage and goes up then',
  })
}
