import { setMaxListeners } from 'node:events'
import { LongshoreError } from '../errors.ts'

const ERRORS = {
  SIGINT: { code: 'INTERRUPTED', message: 'stopped by SIGINT', exit: 130 },
  SIGTERM: { code: 'TERMINATED', message: 'stopped by SIGTERM', exit: 143 },
} as const

/** ms: a signal this soon after the first is its echo. */
const ECHO_MS = 200

export interface Signals {
  signal: AbortSignal
  /** Aborts for another reason: stdout's reader went away. */
  abort(reason: LongshoreError): void
  dispose(): void
}

/** The first SIGINT or SIGTERM asks the work to end in order; the second one ends the process there and then. */
export function watchSignals(): Signals {
  const controller = new AbortController()
  // Every request in flight listens to it: hundreds are no leak.
  setMaxListeners(0, controller.signal)
  let first = 0
  const handlers = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const handler = (): void => {
      const { code, message, exit } = ERRORS[name]
      if (!controller.signal.aborted) {
        first = Date.now()
        controller.abort(
          new LongshoreError(code, message, {
            hint: 'run the same command again: it goes on where it stopped',
          }),
        )
        return
      }
      // npm and some launchers pass on a Ctrl-C that the terminal has sent to the whole group already.
      if (Date.now() - first < ECHO_MS) return
      // After the other handlers of this signal: CMD is sent it as well.
      setImmediate(() => {
        // Where a disk does not answer, this exit waits for a thread, and the next signal has to end that.
        for (const one of Object.keys(ERRORS)) process.removeAllListeners(one)
        process.exit(exit)
      })
    }
    process.on(name, handler)
    return [name, handler] as const
  })
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    dispose() {
      for (const [name, handler] of handlers) process.off(name, handler)
    },
  }
}
