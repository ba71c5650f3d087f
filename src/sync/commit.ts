import type { Progress } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import type { UploadedCheckpoint } from './upload.ts'

/**
 * Writes the commit record: from then on the checkpoint is restorable. Then mirrors its pointer files at their
 * paths (a failure is a warning; tried again at the next commit) and notes its files as known.
 * Throws SUPERSEDED (exit 6). When it throws anything else the outcome may be unknown: call it again with the
 * same upload, it finds its own record and does not commit twice.
 */
export declare function commitCheckpoint(
  writer: LogWriter,
  uploaded: UploadedCheckpoint,
  options: { signal: AbortSignal; progress?: Progress | undefined },
): Promise<CommitHead>
