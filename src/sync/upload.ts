import { randomBytes } from 'node:crypto'
import { LongshoreError } from '../errors.ts'
import { type CommitFile, linkStaysInside, MAX_POINTER_BYTES, STATE_FOLDER } from '../manifest/checkpoint.ts'
import { type Progress, SILENT } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import type { StagedCheckpoint } from './types.ts'
import { type UploadedFile, type UploadJob, unpin, uploadFile } from './upload-file.ts'
import { findKnownCommit, type KnownFile } from './upload-known.ts'

/** bytes */
const PART_SIZE = 16 * 1024 * 1024
const FILES_AT_ONCE = 16

export interface UploadOptions {
  signal: AbortSignal
  progress?: Progress | undefined
  /** bytes; at least 5 MiB, grows where 10,000 parts would not do. Default 16 MiB. */
  partSize?: number | undefined
  /** bytes; larger files go up in parts. Default 16 MiB. */
  multipartAbove?: number | undefined
  /** Files under way at once; the engine bounds bytes and requests over all of them. Default 16. */
  filesAtOnce?: number | undefined
}

/** Every byte is in the bucket; nothing says so yet. Goes to commitCheckpoint, or to abandonUpload. */
export interface UploadedCheckpoint {
  staged: StagedCheckpoint
  files: CommitFile[]
  /** Moved by this call, and found in the bucket already. */
  uploaded: { files: number; bytes: number }
  kept: { files: number; bytes: number }
  /** Held until the commit, or until it is abandoned. */
  pinned: string[]
  journals: string[]
  known: KnownFile[]
}

/**
 * The live commit that this checkpoint already is (same name, same unchanged files), if there is one: after a
 * restart, and for what `restore` brought. Looks at the local list of known files and the log; no request.
 */
export function findCommitted(writer: LogWriter, staged: StagedCheckpoint): CommitHead | undefined {
  return findKnownCommit(writer.known, staged, writer.commits)
}

/**
 * Brings a staged checkpoint's files into the bucket, each at its own path where that is free, and never over or
 * instead of anything. Several may run at once. Killed midway, the next call continues its multipart uploads.
 * Throws SOURCE_CHANGED when a staged file is no longer what was staged (restage it); never SUPERSEDED: only
 * records decide that. After a throw nothing is held; the caller may try again.
 */
export async function uploadCheckpoint(
  writer: LogWriter,
  staged: StagedCheckpoint,
  options: UploadOptions,
): Promise<UploadedCheckpoint> {
  checkStaged(staged)
  const stop = new AbortController()
  const job: UploadJob = {
    signal: AbortSignal.any([options.signal, stop.signal]),
    progress: options.progress ?? SILENT,
    partSize: options.partSize ?? PART_SIZE,
    multipartAbove: options.multipartAbove ?? PART_SIZE,
    // Not the writer's nonce alone: a path that comes again in the next checkpoint needs another key.
    objects: `${STATE_FOLDER}/objects/${writer.own}-${randomBytes(8).toString('hex')}/`,
    pinned: [],
    journals: [],
  }
  job.progress.expect({
    bytes: staged.files.reduce((sum, file) => sum + file.size, 0),
    objects: staged.files.length,
  })
  const done = new Array<UploadedFile | undefined>(staged.files.length)
  let next = 0
  const work = async () => {
    for (let at = next++; at < staged.files.length; at = next++) {
      const file = staged.files[at]
      if (!file) continue
      const uploaded = await uploadFile(writer, file, job)
      done[at] = uploaded
      job.progress.done(uploaded.moved ? { objects: 1 } : { objects: 1, bytes: file.size })
    }
  }
  try {
    const workers = Array.from(
      { length: Math.min(options.filesAtOnce ?? FILES_AT_ONCE, staged.files.length) },
      async () => {
        try {
          await work()
        } catch (error) {
          // The first failure is the reason; the others only stop because of it.
          stop.abort(error)
          throw error
        }
      },
    )
    // All of them end before anything is let go: a straggler must not put something at a key that is free again.
    const failed = (await Promise.allSettled(workers)).some((end) => end.status === 'rejected')
    if (failed) throw options.signal.aborted ? options.signal.reason : stop.signal.reason
  } catch (error) {
    abandonUpload(writer, job)
    throw error
  }
  return summarize(staged, job, done)
}

/** Gives up an upload that will not be committed: its objects may be deleted by a later retire or gc. */
export function abandonUpload(writer: LogWriter, uploaded: { pinned: string[] }): void {
  for (const key of [...uploaded.pinned]) unpin(writer, uploaded, key)
}

function summarize(
  staged: StagedCheckpoint,
  job: UploadJob,
  done: readonly (UploadedFile | undefined)[],
): UploadedCheckpoint {
  const result: UploadedCheckpoint = {
    staged,
    files: [],
    uploaded: { files: 0, bytes: 0 },
    kept: { files: 0, bytes: 0 },
    pinned: job.pinned,
    journals: job.journals,
    known: [],
  }
  for (const file of done) {
    if (!file) continue
    result.files.push(file.entry)
    result.known.push(file.known)
    const sum = file.moved ? result.uploaded : result.kept
    sum.files++
    sum.bytes += file.known.size
  }
  return result
}

function checkStaged(staged: StagedCheckpoint): void {
  const paths = new Set<string>()
  for (const { path } of [...staged.files, ...staged.pointers]) {
    if (paths.has(path))
      throw new LongshoreError('INTERNAL', `${path} is staged twice in ${staged.name}`, { path })
    paths.add(path)
  }
  const link = staged.files.find((f) => f.symlink !== undefined && !linkStaysInside(f.path, f.symlink))
  if (link)
    throw new LongshoreError('UNSUPPORTED', `the link ${link.path} leaves the folder: ${link.symlink}`, {
      path: link.path,
      hint: 'a checkpoint must be whole in itself: put the file there, or link to one inside',
    })
  const large = staged.pointers.find((pointer) => pointer.bytes.length > MAX_POINTER_BYTES)
  if (large)
    throw new LongshoreError('UNSUPPORTED', `the pointer file ${large.path} is larger than 1 MiB`, {
      path: large.path,
      hint: 'a pointer file holds a line or two; choose another --layout for this folder',
    })
}
