import { crc32Combine, crcBase64 } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import type { UploadedPart } from '../s3/store.ts'
import type { Transfer } from '../transfer/types.ts'
import type { LogWriter } from './epoch.ts'
import type { StagedFile } from './types.ts'
import { holdsSameBytes, type PutOutcome, type UploadJob } from './upload-file.ts'
import { noteDone, noteKey, notePart, noteUpload, type UploadJournal } from './upload-journal.ts'
import { confirmSource, crcOfFile, markSource } from './upload-source.ts'

const MAX_PARTS = 10_000
const MIB = 1024 * 1024

type PartJob = UploadJob & { key: string; journal: UploadJournal }
interface SentPart extends UploadedPart {
  crc32: number
}

/** The part size for a file: at least 5 MiB, grown in whole MiB until 10,000 parts are enough. */
export function partSizeFor(size: number, wanted: number): number {
  return Math.max(wanted, 5 * MIB, Math.ceil(size / MAX_PARTS / MIB) * MIB)
}

/**
 * A multipart upload that becomes an object only where nothing is, and that a later run continues: upload id and
 * parts are in the journal, and count when the bucket lists them too.
 */
export async function uploadParts(writer: LogWriter, file: StagedFile, job: PartJob): Promise<PutOutcome> {
  const { signal, journal } = job
  const before = await markSource(file)
  const there = await lookBefore(writer, file, job)
  if (there) return there
  const kept = await resume(writer, job)
  if (kept === undefined) await begin(writer, file, job)
  const parts = await sendMissing(writer, file, job, kept ?? new Map())
  const crc32 = parts.reduce((crc, part) => crc32Combine(crc, part.crc32, part.size), 0)
  // Before it becomes an object: bytes of two versions under the file's own path would be in everyone's way.
  await confirmSource(file, before, { crc32, signal })
  const outcome = await complete(writer, file, job, parts)
  if (outcome.status === 'written') {
    // After a lost answer the store takes size and number of parts for proof; another writer's may have the same.
    const info = await writer.store.head(writer.prefix + job.key, { signal })
    if (info?.checksums.crc32 !== undefined && info.checksums.crc32 !== crcBase64(crc32))
      return { status: 'taken' }
    await noteDone(journal, { etag: outcome.etag, crc32 })
    return { status: 'moved', crc32 }
  }
  await writer.store.abortUpload(writer.prefix + job.key, journal.uploadId ?? '', { signal })
  const same = await holdsSameBytes(writer, job.key, { size: file.size, crc32, signal })
  return same ? { status: 'same', crc32 } : { status: 'taken' }
}

/** What is at the key already: our own finished upload of an earlier run, the same bytes, or something else. */
async function lookBefore(
  writer: LogWriter,
  file: StagedFile,
  job: PartJob,
): Promise<PutOutcome | undefined> {
  const { journal, signal } = job
  const info = await writer.store.head(writer.prefix + job.key, { signal })
  if (info === undefined) return undefined
  const done = journal.key === job.key ? journal.done : undefined
  if (done && done.etag === info.etag && info.size === file.size) return { status: 'same', crc32: done.crc32 }
  if (info.size === file.size && info.checksums.crc32 !== undefined) {
    const crc32 = await crcOfFile(file.staged, { size: file.size, signal })
    if (crc32 !== undefined && (await holdsSameBytes(writer, job.key, { size: file.size, crc32, signal }))) {
      await markSource(file)
      return { status: 'same', crc32 }
    }
  }
  return { status: 'taken' }
}

/** The parts that an earlier run sent, or undefined when there is no upload to go on with. */
async function resume(writer: LogWriter, job: PartJob): Promise<Map<number, SentPart> | undefined> {
  const { journal, signal } = job
  if (journal.key === undefined || journal.done) return undefined
  const key = writer.prefix + journal.key
  if (journal.uploadId === undefined) {
    await abortUnknown(writer, key, signal)
    return undefined
  }
  if (journal.key !== job.key) {
    await writer.store.abortUpload(key, journal.uploadId, { signal })
    return undefined
  }
  const listed = await writer.store.listParts(key, journal.uploadId, { signal })
  if (listed === undefined) return undefined
  const kept = new Map<number, SentPart>()
  for (const part of listed) {
    const noted = journal.parts.get(part.partNumber)
    const same = noted?.etag === part.etag && (part.crc32 ?? noted.crc32) === noted.crc32
    if (same) kept.set(part.partNumber, { ...part, crc32: noted.crc32 })
  }
  return kept
}

/** A crash between making an upload and noting its id leaves one that only its key tells. */
export async function abortUnknown(writer: LogWriter, key: string, signal: AbortSignal): Promise<number> {
  let aborted = 0
  for await (const upload of writer.store.listUploads(key, { signal })) {
    if (upload.key !== key) continue
    await writer.store.abortUpload(key, upload.uploadId, { signal })
    aborted++
  }
  return aborted
}

async function begin(writer: LogWriter, file: StagedFile, job: PartJob): Promise<void> {
  await noteKey(job.journal, job.key, partSizeFor(file.size, job.partSize))
  const uploadId = await writer.store.createUpload(writer.prefix + job.key, { signal: job.signal })
  await noteUpload(job.journal, uploadId)
}

async function sendMissing(
  writer: LogWriter,
  file: StagedFile,
  job: PartJob,
  kept: ReadonlyMap<number, SentPart>,
): Promise<SentPart[]> {
  const { journal, signal } = job
  const key = writer.prefix + job.key
  const count = Math.ceil(file.size / journal.partSize)
  const sizeOf = (n: number) => Math.min(journal.partSize, file.size - (n - 1) * journal.partSize)
  const parts = new Map<number, SentPart>()
  for (const [n, part] of kept) {
    if (n > count || (part.size !== 0 && part.size !== sizeOf(n))) continue
    parts.set(n, { ...part, size: sizeOf(n) })
    job.progress.done({ bytes: sizeOf(n) })
  }
  const store = writer.engine.attach(writer.store)
  // A generator: a plan of 10,000 parts is pulled as fast as they go up.
  function* missing(): Generator<Transfer> {
    for (let n = 1; n <= count; n++) {
      if (parts.has(n)) continue
      const offset = (n - 1) * journal.partSize
      const length = sizeOf(n)
      const pieces = [{ kind: 'file', at: 0, length, path: file.staged, offset } as const]
      const to = {
        kind: 'part',
        store,
        key,
        uploadId: journal.uploadId ?? '',
        partNumber: n,
        offset,
      } as const
      yield { id: n, length, pieces, to }
    }
  }
  let noted: Promise<void> = Promise.resolve()
  try {
    await writer.engine.run(missing(), {
      signal,
      onResult(result) {
        if (!result.ok) throw result.error
        const part = {
          partNumber: result.id,
          etag: result.etag ?? '',
          size: result.bytes,
          crc32: result.crc32,
        }
        parts.set(part.partNumber, part)
        job.progress.done({ bytes: part.size })
        noted = noted.then(() => notePart(journal, part))
        noted.catch(() => undefined)
      },
    })
  } catch (error) {
    await noted.catch(() => undefined)
    if (!signal.aborted) await markSource(file)
    throw error
  }
  await noted
  return [...parts.values()].sort((a, b) => a.partNumber - b.partNumber)
}

async function complete(writer: LogWriter, file: StagedFile, job: PartJob, parts: SentPart[]) {
  const key = writer.prefix + job.key
  const { signal } = job
  if (writer.conditional === 'none' && (await writer.store.head(key, { signal })))
    return { status: 'exists' } as const
  const uploadId = job.journal.uploadId ?? ''
  const condition = writer.conditional === 'all' ? 'absent' : undefined
  try {
    return await writer.store.completeUpload({ key, uploadId, parts, size: file.size, condition }, { signal })
  } catch (error) {
    // 409: another upload to the same key was being completed. It has won, or this one has: look.
    if (!(error instanceof LongshoreError) || signal.aborted) throw error
    if ((await writer.store.head(key, { signal })) === undefined) throw error
    return { status: 'exists' } as const
  }
}
