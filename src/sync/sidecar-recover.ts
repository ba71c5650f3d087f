import type { Progress } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import { type CommitHead, placeUrl } from './log.ts'
import { newestCommit } from './log-state.ts'
import type { Handled } from './sidecar-handled.ts'
import { noteCommitted } from './sidecar-known.ts'
import type { Queue } from './sidecar-queue.ts'
import { type Staged, unstage } from './stage.ts'
import { adoptStaged, recoverStage } from './stage-recover.ts'

export interface RecoverOptions {
  dir: string
  writer: LogWriter
  queue: Queue
  handled: Handled
  progress: Progress
  signal: AbortSignal
}

/**
 * Takes up what a killed run had staged: it was complete, and the writer may have removed it since. What a newer
 * commit (of another attempt, or of this one) has overtaken is let go, with a warning: committed now, it would
 * count as the newest.
 */
export async function recoverPending(options: RecoverOptions): Promise<void> {
  const { dir, writer, queue, handled, progress, signal } = options
  const run = placeUrl(writer)
  const newest = newestCommit(writer.commits.values())
  const kept: Staged[] = []
  for (const found of await recoverStage(dir)) {
    const { staged } = found
    const { name, ordinal } = staged.checkpoint
    const ours = found.run === run
    const head = [...writer.commits.values()].find(
      (each) => ours && each.epoch === found.epoch && each.ordinal === ordinal && each.name === name,
    )
    if (head !== undefined) {
      await noteCommitted(writer, staged, head, { signal })
      handled.names.set(name, staged.identity)
      await handled.note(name, staged.identity, head)
      await unstage(staged)
    } else if (ours && handled.isNoted(name, staged.identity)) {
      // Committed, and retired since.
      handled.names.set(name, staged.identity)
      await unstage(staged)
    } else if (ours && newest !== undefined && isNewer(newest, { epoch: found.epoch, ordinal })) {
      progress.warn(`${name} was complete here and never committed, but a newer checkpoint is`, {
        path: name,
        hint: 'it is not committed: it would be restored instead of what came after it',
      })
      handled.names.set(name, staged.identity)
      // Before the stage goes: the next start must not take it for a new one, where it still lies in DIR.
      await handled.noteOvertaken(name, staged.identity, newest)
      queue.lost.push(name)
      await unstage(staged)
    } else kept.push(staged)
  }
  const first = lastOrdinal(writer) + 1
  // The newest first: killed in between, those of the old epoch still count as the older ones.
  for (const [at, staged] of [...kept.entries()].reverse()) {
    await adoptStaged(staged, { run, epoch: writer.own, ordinal: first + at })
  }
  for (const staged of kept) {
    const { name, step } = staged.checkpoint
    handled.names.set(name, staged.identity)
    queue.add(staged)
    progress.item('staged', { name, step, bytes: staged.bytes, recovered: true })
  }
}

function isNewer(newest: CommitHead, than: { epoch: number; ordinal: number }): boolean {
  return newest.epoch > than.epoch || (newest.epoch === than.epoch && newest.ordinal > than.ordinal)
}

/** The highest rank given so far, in the log. */
export function lastOrdinal(writer: LogWriter): number {
  let last = 0
  for (const head of writer.commits.values()) if (head.ordinal > last) last = head.ordinal
  return last
}
