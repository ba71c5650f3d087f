import type { CommitHead } from './log.ts'
import { compareNewest } from './log-state.ts'

export interface KeepPolicy {
  /** The N newest stay (at least 1). undefined: nothing is ever retired. */
  keepLast?: number | undefined
  /** Beside those, the newest commit of each step that is a multiple of K. */
  keepEvery?: number | undefined
}

/** Which live commits the policy lets go, oldest first. Pure. Never the newest. */
export function planRetire(commits: Iterable<CommitHead>, policy: KeepPolicy): CommitHead[] {
  if (policy.keepLast === undefined) return []
  const newestFirst = [...commits].sort(compareNewest)
  const last = Math.max(1, policy.keepLast)
  const keptSteps = new Set<number>()
  return newestFirst
    .filter((head, rank) => {
      const milestone = isMilestone(head.step, policy.keepEvery)
      // An attempt that went back committed this step before: the later one counts.
      const first = head.step !== null && milestone && !keptSteps.has(head.step)
      if (head.step !== null && milestone) keptSteps.add(head.step)
      return rank >= last && !first
    })
    .reverse()
}

function isMilestone(step: number | null, every: number | undefined): boolean {
  return step !== null && every !== undefined && every > 0 && step % every === 0
}
