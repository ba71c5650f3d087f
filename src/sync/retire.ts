import type { Progress } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'

export interface KeepPolicy {
  /** The N newest stay (at least 1). undefined: nothing is ever retired. */
  keepLast?: number | undefined
  /** Beside those, the newest commit of each step that is a multiple of K. */
  keepEvery?: number | undefined
}

/** Which live commits the policy lets go, oldest first. Pure. Never the newest. */
export declare function planRetire(commits: Iterable<CommitHead>, policy: KeepPolicy): CommitHead[]

/**
 * Retires what the policy lets go: a retire record first, then the deletion of objects that no live commit and no
 * upload in progress names. Call after each commit. A crash in between is mended by finishRetired.
 */
export declare function retireCheckpoints(
  writer: LogWriter,
  options: KeepPolicy & { signal: AbortSignal; progress?: Progress | undefined },
): Promise<CommitHead[]>

/** Deletes what earlier retire records left behind. Call once after takeOver. */
export declare function finishRetired(
  writer: LogWriter,
  options: { signal: AbortSignal },
): Promise<{ deleted: number }>
