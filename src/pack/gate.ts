/** Holders up to a number of them, and up to a weight of all of them together. The others wait in order. */
export interface Gate {
  enter(weight: number, signal: AbortSignal): Promise<void>
  /** With the weight that it entered with. */
  leave(weight: number): void
}

export interface GateOptions {
  most: number
  /** Of them so many enter whatever they weigh. */
  least: number
  weight: number
}

export function createGate({ most, least, weight: heaviest }: GateOptions): Gate {
  let holders = 0
  let held = 0
  const waiting: { weight: number; enter: () => void }[] = []
  const fits = (weight: number): boolean => holders < least || (holders < most && held + weight <= heaviest)
  const take = (weight: number): void => {
    holders++
    held += weight
  }
  const serve = (): void => {
    for (let next = waiting[0]; next !== undefined && fits(next.weight); next = waiting[0]) {
      waiting.shift()
      take(next.weight)
      next.enter()
    }
  }
  return {
    async enter(weight, signal) {
      signal.throwIfAborted()
      if (waiting.length === 0 && fits(weight)) return take(weight)
      await new Promise<void>((resolve, reject) => {
        const one = {
          weight,
          enter: (): void => {
            signal.removeEventListener('abort', abort)
            resolve()
          },
        }
        const abort = (): void => {
          waiting.splice(waiting.indexOf(one), 1)
          reject(signal.reason)
          // A lighter one behind it may fit.
          serve()
        }
        waiting.push(one)
        signal.addEventListener('abort', abort, { once: true })
      })
    },
    leave(weight) {
      holders--
      held -= weight
      serve()
    },
  }
}
