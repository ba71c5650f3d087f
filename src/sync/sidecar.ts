import { isLongshoreError, LongshoreError } from '../errors.ts'
import type { Progress } from '../progress.ts'
import { mirrorPointers } from './commit-mirror.ts'
import type { Drain } from './drain.ts'
import { type CheckpointLog, type CommitHead, placeUrl } from './log.ts'
import type { Conditional } from './probe.ts'
import { finishRetired, type KeepPolicy } from './retire.ts'
import { createScanner } from './scan.ts'
import { watchFolder } from './scan-watch.ts'
import { beginRun } from './sidecar-begin.ts'
import { createHome } from './sidecar-home.ts'
import { createQueue } from './sidecar-queue.ts'
import { createSay } from './sidecar-say.ts'
import { runScans, type Scans } from './sidecar-scans.ts'
import { runUploader } from './sidecar-upload.ts'
import { unstage } from './stage.ts'
import { writeSyncStatus } from './status-file.ts'
import { abortDeadUploads } from './upload-abort.ts'

export interface SidecarOptions extends KeepPolicy {
  /** absolute */
  dir: string
  /** Read, not yet taken over. */
  log: CheckpointLog
  conditional: Conditional
  progress: Progress
  drain: Drain
  once: boolean
  layout: string
  marker?: ((path: string) => boolean) | undefined
  also?: ((path: string) => boolean) | undefined
  /** ms */
  settle: number
  /** ms */
  scanInterval: number
  /** bytes */
  partSize?: number | undefined
  /** Test seams: no filesystem events at all; how much space is free. */
  watch?: boolean | undefined
  freeBytes?: (() => Promise<number>) | undefined
}

export interface SidecarResult {
  epoch: number
  committed: CommitHead[]
  /** Complete once, not committed; with `looked` false also what was still settling. */
  pending: string[]
  /** false: stopped before the last look at DIR had ended. What is in it may be complete, and not committed. */
  looked: boolean
  retired: string[]
  /** bytes that went up for checkpoints */
  bytes: number
}

/**
 * Watches DIR and commits what is complete, until the drain says so. Scanning goes on while an upload runs, so
 * that a checkpoint is staged before its writer rotates it away. Throws LOCKED and SUPERSEDED; whatever else
 * goes wrong with an upload is said and tried again.
 */
export async function runSidecar(options: SidecarOptions): Promise<SidecarResult> {
  const { dir, log, drain, progress } = options
  const say = createSay(progress)
  const home = createHome(dir)
  const wake = watchFolder(dir, { enabled: options.watch !== false })
  const added = watchFolder(dir, { enabled: false })
  const queue = createQueue()
  const { committed } = queue
  const result: SidecarResult = { epoch: 0, committed, pending: [], looked: false, retired: [], bytes: 0 }
  let scans: Scans | undefined
  // One side's failure ends the other: a sidecar that only scans, or only uploads, would be a silent stop.
  const failed = new AbortController()
  const signal = AbortSignal.any([drain.stop, failed.signal])
  try {
    const there = await waitForDir()
    if (!there) {
      result.looked = !signal.aborted
      return result
    }
    const { writer, handled } = await beginRun({
      ...options,
      stateDir: home.stateDir,
      queue,
      say,
      added,
      signal,
    })
    result.epoch = writer.own
    const scanner = createScanner(dir, {
      hot: Math.max(30_000, 2 * options.settle),
      onOdd: (path, why) => say.once(`${path === '' ? dir : path} ${why}`, { path }),
    })
    const eyes = runScans({
      ...options,
      writer,
      scanner,
      queue,
      handled,
      home,
      say,
      wake,
      added,
      signal,
      showStatus,
      onLooked() {
        result.looked = true
        // Waiting out a backoff would eat the drain's time.
        for (const entry of queue.pending) entry.notBefore = 0
        queue.restUntil = 0
        added.poke()
      },
    })
    scans = eyes
    const uploads = runUploader({
      ...options,
      writer,
      queue,
      say,
      signal,
      sealed: () => result.looked,
      wait: (ms) => added.wait(ms, signal),
      async onCommitted({ staged }, head, bytes) {
        result.bytes += bytes
        const { name, step, seq, ordinal } = head
        progress.item('committed', {
          name,
          step,
          seq,
          epoch: head.epoch,
          ordinal,
          bytes: head.bytes,
          files: head.files,
        })
        // Before the stage goes: a crash in between finds it there, and its record in the log.
        await handled
          .note(name, staged.identity, head)
          .catch((error: unknown) => say.failure(`${name} is committed, but not noted`, error))
        await unstage(staged).catch((error: unknown) => say.failure('the stage can not be cleared', error))
        for (const file of staged.checkpoint.files) await scanner.absorb(file.path)
        await showStatus()
      },
      async onGone(entry) {
        await eyes.gone(entry)
        await showStatus()
      },
      onRetired(heads) {
        for (const { name, step, seq } of heads) {
          result.retired.push(name)
          progress.item('retired', { name, step, seq })
        }
      },
    })
    const housekeeping = cleanUp()
    await showStatus()
    const end = (error: unknown): void => failed.abort(error)
    eyes.done.catch(end)
    uploads.catch(end)
    const ends = await Promise.allSettled([eyes.done, uploads, housekeeping])
    if (failed.signal.aborted && !drain.stop.aborted) throw failed.signal.reason
    // Stopped by the drain's limit: that is in `pending`. Anything else that came up must not be swallowed.
    for (const each of ends) {
      if (each.status === 'rejected' && isLongshoreError(each.reason, 'SUPERSEDED')) throw each.reason
    }
    if (result.looked && queue.unfinished().length === 0) await tidyUp()
    await showStatus()
    return result

    /** All is committed: nothing of ours stays open, and a pointer whose mirror failed has its last try. */
    async function tidyUp(): Promise<void> {
      try {
        await mirrorPointers(writer, { signal, progress })
        await abortDeadUploads(writer, { signal, drained: true })
      } catch (error) {
        if (isLongshoreError(error, 'SUPERSEDED')) throw error
        if (!signal.aborted) say.failure('uploads of checkpoints that changed meanwhile may be open', error)
      }
    }

    async function cleanUp(): Promise<void> {
      try {
        await finishRetired(writer, { signal })
        await abortDeadUploads(writer, { signal })
      } catch (error) {
        if (isLongshoreError(error, 'SUPERSEDED') || signal.aborted) return
        say.failure('the rest of earlier runs is not cleaned up yet', error)
      }
    }
  } catch (error) {
    if (drain.stop.aborted && error === drain.stop.reason) return result
    throw error
  } finally {
    result.pending = queue.unfinished()
    if (!result.looked && drain.stop.aborted) {
      const settling = [...(scans?.unsettled ?? [])].filter((name) => !result.pending.includes(name))
      result.pending.push(...settling)
      say.once(`the time ran out before the last look at ${dir} had ended`, {
        path: dir,
        hint: 'run it again, or give it more time: --drain-timeout above --settle',
      })
    }
    wake.close()
    added.close()
    await home.release()
  }

  async function waitForDir(): Promise<boolean> {
    while ((await home.ensure(signal)) === 'missing') {
      if (drain.ask.aborted || signal.aborted) return false
      if (options.once) {
        throw new LongshoreError('NOT_FOUND', `${dir} does not exist`, {
          path: dir,
          hint: 'without --once it would be waited for',
        })
      }
      say.once(`${dir} is not there yet: waiting for it`, { path: dir })
      await wake.wait(options.scanInterval, AbortSignal.any([drain.ask, signal]))
    }
    return true
  }

  /** For people; a failure concerns nobody but `longshore status`. */
  async function showStatus(): Promise<void> {
    const last = queue.committed.at(-1)
    await writeSyncStatus(dir, {
      destination: placeUrl(log),
      epoch: result.epoch,
      committed: queue.committed.length,
      pending: queue.pending.length,
      lastCommit: last === undefined ? null : { name: last.name, at: Date.parse(last.at) },
    }).catch((error: unknown) => progress.debug(`sync-status.json: ${String(error)}`))
  }
}
