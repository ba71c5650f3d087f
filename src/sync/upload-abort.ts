import { checkEpoch, type LogWriter } from './epoch.ts'
import { openDeadProbes } from './probe.ts'
import { listJournals, removeJournal, type UploadJournal } from './upload-journal.ts'
import { abortUnknown } from './upload-parts.ts'

const WEEK = 7 * 24 * 3600 * 1000

/**
 * Aborts multipart uploads of this run that nobody will finish. At start: those older than `olderThan` ms (7 d),
 * by our journal or by the bucket's list. With `drained` (every checkpoint is committed, no upload in progress):
 * all that our journal knows, so that none stays open. Either way those of killed start probes, this DIR's at once;
 * other writers' younger uploads are theirs.
 */
export async function abortDeadUploads(
  writer: LogWriter,
  options: { signal: AbortSignal; olderThan?: number; drained?: boolean },
): Promise<{ aborted: number }> {
  // A superseded writer would abort what the new one is sending.
  await checkEpoch(writer, options)
  const before = Date.now() - (options.olderThan ?? WEEK)
  // The probe of this start is over, and DIR is locked: one of its that is open was killed.
  const isDeadProbe = await openDeadProbes(writer, writer)
  const ours = new Set<string>()
  let aborted = 0
  for await (const journal of listJournals(writer, { stateDir: writer.stateDir })) {
    if (options.drained || journal.modified < before) {
      aborted += await abortJournal(writer, journal, options.signal)
      await removeJournal(journal.path)
    } else if (journal.uploadId !== undefined) ours.add(journal.uploadId)
  }
  for await (const upload of writer.store.listUploads(writer.prefix, { signal: options.signal })) {
    const dead = upload.initiated < before ? !ours.has(upload.uploadId) : isDeadProbe(upload)
    if (!dead) continue
    await writer.store.abortUpload(upload.key, upload.uploadId, { signal: options.signal })
    aborted++
  }
  return { aborted }
}

async function abortJournal(writer: LogWriter, journal: UploadJournal, signal: AbortSignal): Promise<number> {
  if (journal.key === undefined || journal.done) return 0
  const key = writer.prefix + journal.key
  if (journal.uploadId === undefined) return abortUnknown(writer, key, signal)
  await writer.store.abortUpload(key, journal.uploadId, { signal })
  return 1
}
