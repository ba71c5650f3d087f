/** At most `limit` holders at once; the others wait in order. */
export interface Gate {
  enter(signal: AbortSignal): Promise<void>
  leave(): void
}

export function createGate(limit: number): Gate {
  let free = limit
  const waiting: (() => void)[] = []
  return {
    async enter(signal) {
      signal.throwIfAborted()
      if (free > 0) {
        free--
        return
      }
      await new Promise<void>((resolve, reject) => {
        const enter = (): void => {
          signal.removeEventListener('abort', abort)
          resolve()
        }
        const abort = (): void => {
          waiting.splice(waiting.indexOf(enter), 1)
          reject(signal.reason)
        }
        waiting.push(enter)
        signal.addEventListener('abort', abort, { once: true })
      })
    },
    leave() {
      const next = waiting.shift()
      if (next) next()
      else free++
    },
  }
}
