import { isLocked } from '../fs/lock.ts'
import { freeSpace } from '../fs/space.ts'
import type { Candidate } from './layouts/layout.ts'
import { placeUrl } from './log.ts'
import { findSame } from './sidecar-known.ts'
import { dropOverCap } from './sidecar-queue.ts'
import { lastOrdinal } from './sidecar-recover.ts'
import type { ScansOptions } from './sidecar-scans.ts'
import { describeCandidate, stageCheckpoint } from './stage.ts'
import { refreshKnown } from './upload-known.ts'

/** Holds a complete checkpoint fast and queues it for upload, unless it is in the bucket or on its way already. */
export function createTake(options: ScansOptions): (candidate: Candidate, layout: string) => Promise<void> {
  const { dir, scanner, queue, handled, drain, say, signal, progress, writer } = options
  const free = options.freeBytes ?? (async () => (await freeSpace(dir)).bytes)
  let ordinal = Math.max(
    lastOrdinal(writer),
    ...queue.pending.map((entry) => entry.staged.checkpoint.ordinal),
  )
  return async (candidate, layout) => {
    const about = { dir, layout, ordinal: ordinal + 1, run: placeUrl(writer), epoch: writer.own, signal }
    const described = describeCandidate(candidate, about)
    const { identity } = described
    if (handled.isNoted(candidate.name, identity)) {
      handled.names.set(candidate.name, identity)
      return
    }
    // What restore is bringing just now gets its notes when all of it is in place.
    const ending = options.once || drain.ask.aborted
    if (!ending && (await isLocked(writer.stateDir, 'restore'))) return
    await refreshKnown(writer, candidate.name)
    const same = findSame(writer, described)
    if (same !== undefined) {
      handled.names.set(candidate.name, identity)
      await handled.note(candidate.name, identity, same)
      return
    }
    // For a moment it did not look complete (a temporary file in it), and it is on its way already.
    if (
      queue.pending.some(
        (each) => each.staged.identity === identity && each.staged.checkpoint.name === candidate.name,
      )
    ) {
      handled.names.set(candidate.name, identity)
      return
    }
    const staged = await stageCheckpoint(candidate, about)
    for (const { path } of candidate.files) await scanner.absorb(path)
    // It changed while it was being held: the next pass sees what it is now.
    if (staged === undefined) return
    if (staged.folder === undefined) {
      say.once(
        `${dir} takes no hard links: checkpoints are read in place, and rotation may outrun the upload`,
        {
          path: dir,
          hint: 'run the sidecar as the user who writes the checkpoints, on the same filesystem',
        },
      )
    }
    ordinal += 1
    handled.names.set(candidate.name, staged.identity)
    queue.add(staged)
    const { name, step, files } = staged.checkpoint
    progress.item('staged', { name, step, ordinal, bytes: staged.bytes, files: files.length })
    for (const dropped of await dropOverCap(queue, free)) {
      progress.warn(`${dropped.name} was let go before it was committed: the writer outruns the upload`, {
        path: dropped.name,
        hint: 'save less often, or give the sidecar more bandwidth or disk',
      })
    }
    options.added.poke()
    await options.showStatus()
  }
}
