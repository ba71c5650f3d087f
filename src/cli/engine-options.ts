import type { CommandContext } from '../commands/context.ts'
import { usableCores } from '../transfer/cores.ts'
import type { EngineStats } from '../transfer/types.ts'
import type { DeadDisk } from './dead-disk.ts'
import type { GlobalValues } from './global-options.ts'
import { readLane } from './lane.ts'

/**
 * The engine's options as the user gave them. `mostWorkers`: threads at most when the user leaves the choice to us.
 * `tell` is told, at the end, what the engine came to;
 * `onStuck`, of a disk that does not answer, and `hold` of threads that wait for one.
 */
export function engineOptions(
  globals: GlobalValues,
  env: Readonly<Record<string, string | undefined>>,
  about: { mostWorkers: number | undefined; tell(line: string): void } & Pick<DeadDisk, 'hold'> &
    Pick<CommandContext['engine'], 'onStuck'>,
): CommandContext['engine'] {
  const { concurrency, memory, bwlimit } = globals
  return {
    ...{ concurrency, memory, bwlimit },
    ...workersOf(globals.workers, usableCores(), about.mostWorkers ?? Infinity),
    lane: readLane(env),
    onStuck: about.onStuck,
    onClose(stats) {
      about.hold(stats.alive)
      const line = engineLine(stats)
      if (line !== undefined) about.tell(line)
    },
  }
}

/**
 * A thread a core. While small objects are many, the main thread lists and plans on one of the cores, and a thread
 * more there moves nothing but costs a quarter more CPU: the last one is for large ranges, which need no plan.
 */
export function workersOf(
  wanted: number | 'auto',
  cores: number,
  most: number,
): { workers: number; workersForLarge: number } {
  if (wanted !== 'auto') return { workers: wanted, workersForLarge: 0 }
  const workers = Math.min(cores, most)
  return { workers, workersForLarge: workers === cores && cores > 1 ? 1 : 0 }
}

/** One line about how the bytes moved; undefined: none did. */
export function engineLine(stats: EngineStats): string | undefined {
  if (Object.keys(stats.requests).length === 0) return undefined
  const reasons = Object.entries(stats.handedOver).sort(([, a], [, b]) => b - a)
  const handed = reasons.map(([reason, times]) => `${times} × ${reason}`).join(', ')
  const workers = stats.workers === 1 ? '1 worker' : `${stats.workers} workers`
  const parts = [workers, `concurrency ${stats.concurrency}`, `${stats.slowdowns} slowdowns`]
  if (stats.behind > 0) parts.push(`${stats.behind} GETs pipelined`)
  return `transfer: ${parts.join(', ')}; handed to the SDK lane: ${handed === '' ? 'none' : handed}`
}
