import type { CommitFile } from '../manifest/checkpoint.ts'
import type { Progress } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import type { StagedCheckpoint } from './types.ts'

export interface UploadOptions {
  signal: AbortSignal
  progress?: Progress | undefined
  /** bytes; at least 5 MiB, grows where 10,000 parts would not do */
  partSize?: number | undefined
}

/** Every byte is in the bucket; nothing says so yet. Goes to commitCheckpoint, or to abandonUpload. */
export interface UploadedCheckpoint {
  staged: StagedCheckpoint
  files: CommitFile[]
  /** Moved by this call, and found in the bucket already. */
  uploaded: { files: number; bytes: number }
  kept: { files: number; bytes: number }
}

/**
 * The live commit that this checkpoint already is (same name, same unchanged files), if there is one: after a
 * restart, and for what `restore` brought. Looks at the local list of known files and the log; no request.
 */
export declare function findCommitted(writer: LogWriter, staged: StagedCheckpoint): CommitHead | undefined

/**
 * Brings a staged checkpoint's files into the bucket, each at its own path where that is free, and never over or
 * instead of anything. Several may run at once. Killed midway, the next call continues its multipart uploads.
 * Throws SOURCE_CHANGED when a staged file is no longer what was staged (restage it), SUPERSEDED never: only
 * records decide that. After a throw nothing is held; the caller may try again.
 */
export declare function uploadCheckpoint(
  writer: LogWriter,
  staged: StagedCheckpoint,
  options: UploadOptions,
): Promise<UploadedCheckpoint>

/** Gives up an upload that will not be committed: its objects may be deleted by a later retire or gc. */
export declare function abandonUpload(writer: LogWriter, uploaded: UploadedCheckpoint): void

/** Aborts multipart uploads of this run that nobody will finish: our journal's, and any older than `olderThan` ms (7 d). */
export declare function abortDeadUploads(
  writer: LogWriter,
  options: { signal: AbortSignal; olderThan?: number },
): Promise<{ aborted: number }>
