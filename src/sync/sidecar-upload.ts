import { isLongshoreError } from '../errors.ts'
import type { Progress } from '../progress.ts'
import { commitCheckpoint } from './commit.ts'
import { checkEpoch, type LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import { type KeepPolicy, retireCheckpoints } from './retire.ts'
import type { Pending, Queue } from './sidecar-queue.ts'
import { codeOf, type Say } from './sidecar-say.ts'
import { isStagedWhole } from './stage.ts'
import { uploadCheckpoint } from './upload.ts'

export interface UploaderOptions extends KeepPolicy {
  writer: LogWriter
  queue: Queue
  progress: Progress
  say: Say
  partSize?: number | undefined
  /** Aborts: at once. */
  signal: AbortSignal
  /** Whether nothing will be added any more. */
  sealed(): boolean
  /** One pass and no more: an entry that failed three times is given up, whatever the reason. */
  once: boolean
  /** Resolves when something was added, sealed, or after `ms`. */
  wait(ms: number): Promise<void>
  /** Its record is in the log: lets the stage go. */
  onCommitted(entry: Pending, head: CommitHead, bytes: number): Promise<void>
  /** It was rewritten or taken away before it was in the bucket. */
  onGone(entry: Pending): Promise<void>
  onRetired(heads: CommitHead[]): void
}

/** ms */
const FIRST_RETRY = 500
const LAST_RETRY = 60_000
const LAST_RETRY_SEALED = 3_000
const IDLE = 60_000
const ENOUGH = 3
/** Failures of this machine or of this checkpoint: the next one may well go through meanwhile. */
const OWN_FAULT = new Set(['LOCAL_IO', 'UNSUPPORTED', 'KEY_CONFLICT', 'INTEGRITY', 'INTERNAL', 'USAGE'])

/**
 * Commits one checkpoint at a time, oldest first, and never stops by itself: whatever fails is tried again, and
 * said once a minute. Ends when sealed and nothing is left to try; throws SUPERSEDED and the signal's reason.
 */
export async function runUploader(options: UploaderOptions): Promise<void> {
  const { queue, signal, writer, say } = options
  for (;;) {
    signal.throwIfAborted()
    giveUp(options)
    const entry = queue.next()
    if (entry === undefined) {
      const open = queue.pending.filter((each) => !each.givenUp)
      if (options.sealed() && open.length === 0) return
      const soonest =
        Math.max(queue.restUntil, Math.min(...open.map((each) => each.notBefore))) - performance.now()
      await options.wait(Math.max(10, Math.min(IDLE, soonest)))
      continue
    }
    entry.busy = true
    try {
      await commitOne(entry, options)
    } catch (error) {
      signal.throwIfAborted()
      if (isLongshoreError(error, 'SUPERSEDED')) throw error
      if (isLongshoreError(error, 'SOURCE_CHANGED')) {
        queue.remove(entry)
        await options.onGone(entry)
        continue
      }
      entry.fails += 1
      if (OWN_FAULT.has(codeOf(error))) entry.ownFails += 1
      say.failure(`${entry.staged.checkpoint.name} is not committed yet`, error)
      delay(entry, error, options)
    } finally {
      entry.busy = false
    }
    // A writer that was overtaken while its uploads fail would never meet the record that tells it so.
    if (entry.fails > 0 && queue.pending.includes(entry)) {
      await checkEpoch(writer, { signal }).catch((error: unknown) => {
        if (isLongshoreError(error, 'SUPERSEDED') || signal.aborted) throw error
      })
    }
  }
}

async function commitOne(entry: Pending, options: UploaderOptions): Promise<void> {
  const { writer, queue, signal, progress, say } = options
  const { staged } = entry
  if (entry.uploaded === undefined) {
    if (!(await isStagedWhole(staged))) {
      queue.remove(entry)
      await options.onGone(entry)
      return
    }
    const uploaded = await uploadCheckpoint(writer, staged.checkpoint, {
      signal,
      progress,
      partSize: options.partSize,
    })
    entry.uploaded = uploaded
  }
  const { uploaded } = entry
  const head = await commitCheckpoint(writer, uploaded, { signal, progress })
  queue.remove(entry)
  queue.committed.push(head)
  await options.onCommitted(entry, head, uploaded.uploaded.bytes)
  if (options.keepLast === undefined) return
  try {
    const { keepLast, keepEvery } = options
    options.onRetired(await retireCheckpoints(writer, { keepLast, keepEvery, signal }))
  } catch (error) {
    if (isLongshoreError(error, 'SUPERSEDED') || signal.aborted) throw error
    // The next commit's retire, or the next start, finishes it.
    say.failure('old checkpoints are not removed yet', error)
  }
}

function delay(entry: Pending, error: unknown, { queue, sealed }: UploaderOptions): void {
  const longest = sealed() ? LAST_RETRY_SEALED : LAST_RETRY
  const ms = Math.min(longest, FIRST_RETRY * 2 ** Math.min(entry.fails - 1, 10)) * (0.75 + Math.random() / 2)
  const at = performance.now() + ms
  // The store or the way to it: the others would fail the same way, and the newest would go before the oldest.
  if (OWN_FAULT.has(codeOf(error))) entry.notBefore = at
  else queue.restUntil = at
}

/** A drain without a limit must not wait for ever for what this machine can't read. */
function giveUp({ queue, sealed, once }: UploaderOptions): void {
  if (!sealed()) return
  for (const entry of queue.pending) {
    if (entry.ownFails >= ENOUGH || (once && entry.fails >= ENOUGH)) entry.givenUp = true
  }
}
