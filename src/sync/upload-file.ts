import { randomBytes } from 'node:crypto'
import { crcBase64, crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { type CommitFile, STATE_FOLDER } from '../manifest/checkpoint.ts'
import type { Progress } from '../progress.ts'
import type { LogWriter } from './epoch.ts'
import { placeUrl } from './log.ts'
import { fingerprint } from './log-state.ts'
import type { StagedFile } from './types.ts'
import { openJournal } from './upload-journal.ts'
import { findKnown, type KnownFile } from './upload-known.ts'
import { uploadParts } from './upload-parts.ts'
import { putWhole } from './upload-put.ts'
import { crcOfFile, markSource } from './upload-source.ts'

/** Fresh keys tried before giving up: only answers lost again and again use them up. */
const FRESH_KEYS = 3

/** What one checkpoint's upload shares among its files. */
export interface UploadJob {
  signal: AbortSignal
  progress: Progress
  partSize: number
  multipartAbove: number
  /** `.longshore/objects/<epoch>-<nonce>/` */
  objects: string
  /** Keys that this upload holds. */
  pinned: string[]
  /** Journals to remove once the checkpoint is committed. */
  journals: string[]
}

export interface UploadedFile {
  entry: CommitFile
  known: KnownFile
  /** false: the bucket had it. */
  moved: boolean
}

/** 'taken': something else is at the key, or it can't be told that it is the same. */
export type PutOutcome = { status: 'moved' | 'same'; crc32: number } | { status: 'taken' }

/** Brings one file into the bucket, or finds it there. Nothing that exists is ever written to. */
export async function uploadFile(writer: LogWriter, file: StagedFile, job: UploadJob): Promise<UploadedFile> {
  if (file.symlink !== undefined) {
    const known = { ...knownOf(file, '', 0), symlink: file.symlink }
    return { entry: { path: file.path, mode: file.mode, symlink: file.symlink }, known, moved: false }
  }
  const known = findKnown(writer.known, file, writer.commits)
  if (known) {
    pin(writer, job, known.key)
    return placed(file, known.key, Number.parseInt(known.crc32, 16), false)
  }
  await markSource(file)
  return (await findNamed(writer, file, job)) ?? (await place(writer, file, job))
}

/** Whether nobody has ever named this key, and nobody is about to. */
export function isFreeKey(writer: LogWriter, key: string): boolean {
  return !writer.names.has(fingerprint(key)) && !writer.pointerPaths.has(key) && !writer.pins.has(key)
}

export function pin(writer: LogWriter, job: UploadJob, key: string): void {
  writer.pins.set(key, (writer.pins.get(key) ?? 0) + 1)
  job.pinned.push(key)
}

export function unpin(writer: LogWriter, job: { pinned: string[] }, key: string): void {
  const at = job.pinned.indexOf(key)
  if (at < 0) return
  job.pinned.splice(at, 1)
  const left = (writer.pins.get(key) ?? 1) - 1
  if (left > 0) writer.pins.set(key, left)
  else writer.pins.delete(key)
}

/** The file's own path, when a live commit says that the same bytes are there. */
async function findNamed(
  writer: LogWriter,
  file: StagedFile,
  job: UploadJob,
): Promise<UploadedFile | undefined> {
  const recent = writer.recent.get(file.path)
  if (recent?.size !== file.size || !writer.commits.has(recent.seq)) return undefined
  // Held before the first await: a retire that runs meanwhile must not delete it.
  pin(writer, job, file.path)
  const crc32 = await crcOfFile(file.staged, { size: file.size, signal: job.signal })
  if (crc32 !== undefined && crcHex(crc32) === recent.crc32) {
    await markSource(file)
    return placed(file, file.path, crc32, false)
  }
  unpin(writer, job, file.path)
  return undefined
}

async function place(writer: LogWriter, file: StagedFile, job: UploadJob): Promise<UploadedFile> {
  const journal =
    file.size > job.multipartAbove
      ? await openJournal(writer, file, { stateDir: writer.stateDir })
      : undefined
  if (journal) job.journals.push(journal.path)
  // A store whose Complete overwrites may only complete to keys that nobody else can have.
  const ownPath = journal === undefined || writer.conditional === 'all'
  const keys = ownPath ? [file.path] : []
  if (journal?.key !== undefined && journal.key !== file.path) keys.unshift(journal.key)
  for (let n = 0; n < FRESH_KEYS; n++) {
    keys.push(`${job.objects}${n === 0 ? '' : `${randomBytes(4).toString('hex')}/`}${file.path}`)
  }
  for (const key of keys) {
    checkKey(writer, key)
    if (!isFreeKey(writer, key)) continue
    pin(writer, job, key)
    const outcome = journal
      ? await uploadParts(writer, file, { ...job, key, journal })
      : await putWhole(writer, file, { ...job, key })
    if (outcome.status !== 'taken') return placed(file, key, outcome.crc32, outcome.status === 'moved')
    unpin(writer, job, key)
  }
  throw new LongshoreError('TIMEOUT', `no key found for ${file.path}: every answer was lost`, {
    path: placeUrl(writer) + file.path,
    hint: 'run it again when the connection is better',
  })
}

/**
 * Whether the object at `key` is provably these bytes: its size, and the CRC-32 that the store computed over the
 * whole of it. A store that tells no CRC-32 proves nothing; an ETag never does.
 */
export async function holdsSameBytes(
  writer: LogWriter,
  key: string,
  expected: { size: number; crc32: number | undefined; signal: AbortSignal },
): Promise<boolean> {
  const info = await writer.store.head(writer.prefix + key, { signal: expected.signal })
  if (info === undefined || info.size !== expected.size || expected.crc32 === undefined) return false
  return info.checksums.crc32 === crcBase64(expected.crc32)
}

function placed(file: StagedFile, key: string, crc32: number, moved: boolean): UploadedFile {
  const entry: CommitFile = { path: file.path, size: file.size, mode: file.mode, crc32: crcHex(crc32) }
  if (key !== file.path) entry.key = key
  return { entry, known: knownOf(file, key, crc32), moved }
}

function knownOf(file: StagedFile, key: string, crc32: number): KnownFile {
  const { path, inode, mtimeNs, size } = file
  return { path, inode, mtimeNs, size, crc32: crcHex(crc32), key }
}

function checkKey(writer: LogWriter, key: string): void {
  const bytes = Buffer.byteLength(writer.prefix + key)
  if (bytes <= 1024) return
  throw new LongshoreError('UNSUPPORTED', `the key of ${key} would have ${bytes} bytes; S3 takes 1,024`, {
    path: placeUrl(writer) + key,
    hint: `use shorter folder names, or a shorter prefix; ${STATE_FOLDER}/objects/ needs some 50 bytes more`,
  })
}
