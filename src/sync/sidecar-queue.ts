import type { CommitHead } from './log.ts'
import { pinnedBytes, type Staged, unstage } from './stage.ts'
import type { UploadedCheckpoint } from './upload.ts'

/** A checkpoint that is complete and on its way. */
export interface Pending {
  staged: Staged
  /** In the bucket, its record's outcome unknown: only the record is tried again. */
  uploaded?: UploadedCheckpoint | undefined
  /** Being uploaded or committed now. */
  busy: boolean
  fails: number
  /** Of these: this machine's or this checkpoint's own fault. */
  ownFails: number
  /** ms of performance.now() before which it is not tried again */
  notBefore: number
  /** Not tried again in this run. */
  givenUp: boolean
}

export interface Queue {
  /** Oldest first. */
  readonly pending: Pending[]
  /** ms of performance.now() before which the store is left alone */
  restUntil: number
  readonly committed: CommitHead[]
  /** Complete once, and taken away or given up before they were committed. */
  readonly lost: string[]
  add(staged: Staged): void
  /** The oldest that may be tried now. */
  next(): Pending | undefined
  remove(entry: Pending): void
  /** Names to report: what is complete and not committed. */
  unfinished(): string[]
}

export function createQueue(): Queue {
  const pending: Pending[] = []
  const lost: string[] = []
  const queue: Queue = {
    pending,
    restUntil: 0,
    committed: [],
    lost,
    add(staged) {
      pending.push({ staged, busy: false, fails: 0, ownFails: 0, notBefore: 0, givenUp: false })
    },
    next() {
      const now = performance.now()
      if (now < queue.restUntil) return undefined
      return pending.find((entry) => !entry.givenUp && entry.notBefore <= now)
    },
    remove(entry) {
      const at = pending.indexOf(entry)
      if (at >= 0) pending.splice(at, 1)
    },
    unfinished() {
      return [...lost, ...pending.map((entry) => entry.staged.checkpoint.name)]
    },
  }
  return queue
}

/**
 * The writer outruns the upload: what only the stage still holds may take as much space as is left free, no more,
 * or longshore would fill the writer's disk. Then the oldest go, never the two newest nor one in progress.
 */
export async function dropOverCap(
  queue: Queue,
  freeBytes: () => Promise<number>,
): Promise<{ name: string; bytes: number }[]> {
  const dropped: { name: string; bytes: number }[] = []
  if (queue.pending.length <= 2) return dropped
  const sizes = new Map<Pending, number>()
  for (const entry of queue.pending) sizes.set(entry, await pinnedBytes(entry.staged))
  let pinned = [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0)
  let free = await freeBytes()
  for (const entry of queue.pending.slice(0, -2)) {
    if (pinned <= free) break
    const bytes = sizes.get(entry) ?? 0
    // One in progress stays; one that is still in DIR too would free nothing.
    if (entry.busy || entry.uploaded !== undefined || bytes === 0) continue
    queue.remove(entry)
    await unstage(entry.staged)
    queue.lost.push(entry.staged.checkpoint.name)
    dropped.push({ name: entry.staged.checkpoint.name, bytes })
    pinned -= bytes
    free += bytes
  }
  return dropped
}
