import type { Progress } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import { placeUrl } from './log.ts'
import { newestCommit } from './log-state.ts'
import type { Handled } from './sidecar-handled.ts'
import { noteCommitted } from './sidecar-known.ts'
import type { Queue } from './sidecar-queue.ts'
import { unstage } from './stage.ts'
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
 * Takes up what a killed run had staged: it was complete, and the writer may have removed it since. What another
 * attempt has overtaken is let go, with a warning: committed now, it would count as the newest.
 */
export async function recoverPending(options: RecoverOptions): Promise<void> {
  const { dir, writer, queue, handled, progress, signal } = options
  const run = placeUrl(writer)
  const newest = newestCommit(writer.commits.values())
  let ordinal = lastOrdinal(writer)
  for (const found of await recoverStage(dir)) {
    const { staged } = found
    const { name } = staged.checkpoint
    const head =
      found.run === run
        ? [...writer.commits.values()].find(
            (each) =>
              each.epoch === found.epoch && each.ordinal === staged.checkpoint.ordinal && each.name === name,
          )
        : undefined
    if (head !== undefined) {
      await noteCommitted(writer, staged, head, { signal })
      handled.names.set(name, staged.identity)
      await handled.note(name, staged.identity, head)
      await unstage(staged)
    } else if (found.run === run && newest !== undefined && newest.epoch > found.epoch) {
      progress.warn(`${name} was complete here and never committed, but another attempt has gone on since`, {
        path: name,
        hint: 'It is not committed: it would be restored instead of what came after it.',
      })
      await unstage(staged)
      handled.names.set(name, staged.identity)
      queue.lost.push(name)
    } else {
      ordinal += 1
      await adoptStaged(staged, { run, epoch: writer.own, ordinal })
      handled.names.set(name, staged.identity)
      queue.add(staged)
      progress.item('staged', { name, step: staged.checkpoint.step, bytes: staged.bytes, recovered: true })
    }
  }
}

/** The highest rank given so far, in the log. */
export function lastOrdinal(writer: LogWriter): number {
  let last = 0
  for (const head of writer.commits.values()) if (head.ordinal > last) last = head.ordinal
  return last
}
