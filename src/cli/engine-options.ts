import type { CommandContext } from '../commands/context.ts'
import { usableCores } from '../transfer/cores.ts'
import type { EngineStats } from '../transfer/types.ts'
import type { GlobalValues } from './global-options.ts'
import { readLane } from './lane.ts'

/**
 * The engine's options as the user gave them. `mostWorkers`: threads at most when the user leaves the choice to us.
 * `tell` is told, at the end, what the engine came to.
 */
export function engineOptions(
  globals: GlobalValues,
  env: Readonly<Record<string, string | undefined>>,
  about: { mostWorkers: number | undefined; tell(line: string): void },
): CommandContext['engine'] {
  const { concurrency, memory, bwlimit, workers } = globals
  return {
    ...{ concurrency, memory, bwlimit },
    // The main thread lists and plans: on two cores a second worker moved no more and cost a quarter more CPU.
    workers:
      workers === 'auto' ? Math.max(1, Math.min(usableCores() - 1, about.mostWorkers ?? Infinity)) : workers,
    lane: readLane(env),
    onClose(stats) {
      const line = engineLine(stats)
      if (line !== undefined) about.tell(line)
    },
  }
}

/** One line about how the bytes moved; undefined: none did. */
export function engineLine(stats: EngineStats): string | undefined {
  if (Object.keys(stats.requests).length === 0) return undefined
  const reasons = Object.entries(stats.handedOver).sort(([, a], [, b]) => b - a)
  const handed = reasons.map(([reason, times]) => `${times} × ${reason}`).join(', ')
  const workers = stats.workers === 1 ? '1 worker' : `${stats.workers} workers`
  const parts = [workers, `concurrency ${stats.concurrency}`, `${stats.slowdowns} slowdowns`]
  return `transfer: ${parts.join(', ')}; handed to the SDK lane: ${handed === '' ? 'none' : handed}`
}
