/** So many tasks at once; the others wait, first come first served. Rejects with the signal's reason when its turn comes. */
export type Turns = <T>(signal: AbortSignal | undefined, task: () => Promise<T>) => Promise<T>

export function openTurns(most: number): Turns {
  const waiting: (() => void)[] = []
  let running = 0
  return async (signal, task) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      signal?.throwIfAborted()
      return await task()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
