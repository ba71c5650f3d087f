import { type FSWatcher, watch } from 'node:fs'

export interface Wake {
  /** Resolves after `ms`, on an event in DIR, on poke(), or when `signal` aborts. Never rejects. */
  wait(ms: number, signal: AbortSignal): Promise<void>
  poke(): void
  /** Before a look: what comes after it must be heard. */
  arm(): void
  /** Lets the watch go; the next wait makes a new one. */
  close(): void
}

/**
 * Events only wake the scanner sooner. Nothing depends on them: a watch that can't be had (limits, NFS, a DIR that
 * is not there yet) is tried again at the next wait, and said to nobody.
 */
export function watchFolder(dir: string, { enabled = true } = {}): Wake {
  let watcher: FSWatcher | undefined
  let pending = false
  let wake = (): void => {}

  const poke = (): void => {
    pending = true
    wake()
  }
  const drop = (): void => {
    watcher?.close()
    watcher = undefined
  }
  const arm = (): void => {
    if (!enabled || watcher !== undefined) return
    try {
      watcher = watch(dir, { persistent: false }, (event, name) => {
        // The folder itself was moved or removed: the watch is on a corpse from now on.
        if (event === 'rename' && name === null) drop()
        poke()
      })
      watcher.on('error', drop)
    } catch {
      watcher = undefined
    }
  }
  return {
    poke,
    arm,
    close: drop,
    async wait(ms, signal) {
      arm()
      if (!pending && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const done = (): void => {
            clearTimeout(timer)
            signal.removeEventListener('abort', done)
            resolve()
          }
          const timer = setTimeout(done, ms)
          signal.addEventListener('abort', done)
          wake = done
        })
      }
      wake = () => {}
      pending = false
    },
  }
}
