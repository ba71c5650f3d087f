import { type CommitRecord, LOG_FORMAT, LOG_VERSION } from '../manifest/checkpoint.ts'
import { type Progress, SILENT } from '../progress.ts'
import { mirrorPointers } from './commit-mirror.ts'
import { inTurn, type LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import { appendRecord } from './log-append.ts'
import { headOf, newestCommit } from './log-state.ts'
import { abandonUpload, type UploadedCheckpoint } from './upload.ts'
import { removeJournal } from './upload-journal.ts'
import { addKnown, saveKnown } from './upload-known.ts'

/**
 * Writes the commit record: from then on the checkpoint is restorable. Then mirrors its pointer files at their
 * paths (a failure is a warning; tried again at the next commit) and notes its files as known.
 * Throws SUPERSEDED (exit 6). When it throws anything else the outcome may be unknown: call it again with the
 * same upload, it finds its own record and does not commit twice.
 */
export async function commitCheckpoint(
  writer: LogWriter,
  uploaded: UploadedCheckpoint,
  options: { signal: AbortSignal; progress?: Progress | undefined },
): Promise<CommitHead> {
  const progress = options.progress ?? SILENT
  const head = await inTurn(writer, async () => {
    // Its record may have been met by another one that looked for its place.
    const mine = [...writer.commits.values()].find((found) => isSame(writer, found, uploaded))
    if (mine) return mine
    const at = new Date().toISOString()
    return headOf(
      await appendRecord<CommitRecord>(writer, {
        signal: options.signal,
        conditional: writer.conditional,
        epoch: writer.own,
        build: (seq) => buildCommit(writer, uploaded, { seq, at }),
        isMine: (found): found is CommitRecord =>
          found.type === 'commit' && isSame(writer, headOf(found), uploaded),
      }),
    )
  })
  abandonUpload(writer, uploaded)
  await note(writer, head, uploaded).catch((error: unknown) => {
    const hint = 'its files are uploaded again after a restart; the commit itself is safe'
    progress.warn(`can't note what was committed: ${String(error)}`, { path: writer.stateDir, hint })
  })
  if (newestCommit(writer.commits.values())?.seq === head.seq) {
    for (const pointer of uploaded.staged.pointers) writer.unmirrored.set(pointer.path, pointer.bytes)
  }
  // Only a takeover stops it, and then the commit stands: the next call says so.
  await mirrorPointers(writer, { signal: options.signal, progress }).catch(() => undefined)
  return head
}

function isSame(writer: LogWriter, head: CommitHead, uploaded: UploadedCheckpoint): boolean {
  const { name, ordinal } = uploaded.staged
  return head.nonce === writer.nonce && head.ordinal === ordinal && head.name === name
}

function buildCommit(
  writer: LogWriter,
  uploaded: UploadedCheckpoint,
  place: { seq: number; at: string },
): CommitRecord {
  const { name, step, layout, ordinal, pointers } = uploaded.staged
  const record: CommitRecord = {
    format: LOG_FORMAT,
    version: LOG_VERSION,
    type: 'commit',
    seq: place.seq,
    epoch: writer.own,
    nonce: writer.nonce,
    at: place.at,
    ordinal,
    name,
    step,
    newest: place.seq,
    layout,
    files: uploaded.files,
    pointers: pointers.map(({ path, mode, bytes }) => ({
      path,
      mode,
      base64: Buffer.from(bytes).toString('base64'),
    })),
  }
  record.newest = newestCommit([...writer.commits.values(), headOf(record)])?.seq ?? place.seq
  return record
}

async function note(writer: LogWriter, head: CommitHead, uploaded: UploadedCheckpoint): Promise<void> {
  addKnown(writer.known, head.seq, uploaded.known)
  const place = { engine: writer.engine, store: writer.store, prefix: writer.prefix }
  await saveKnown(place, { stateDir: writer.stateDir, seq: head.seq, files: uploaded.known })
  for (const path of uploaded.journals) await removeJournal(path)
}
