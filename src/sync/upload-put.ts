import type { TransferDone } from '../transfer/types.ts'
import type { LogWriter } from './epoch.ts'
import type { StagedFile } from './types.ts'
import { holdsSameBytes, type PutOutcome, type UploadJob } from './upload-file.ts'
import { confirmSource, markSource } from './upload-source.ts'

/** One PUT that writes only where nothing is. 'taken' also when an answer was lost and can't be proven. */
export async function putWhole(
  writer: LogWriter,
  file: StagedFile,
  job: UploadJob & { key: string },
): Promise<PutOutcome> {
  const { signal } = job
  const before = await markSource(file)
  if (writer.conditional === 'none' && (await writer.store.head(writer.prefix + job.key, { signal })))
    return { status: 'taken' }
  const sent = await send(writer, file, job)
  await confirmSource(file, before, { crc32: sent.crc32, signal })
  if (!sent.exists) {
    job.progress.done({ bytes: file.size })
    return { status: 'moved', crc32: sent.crc32 }
  }
  const expected = { size: file.size, crc32: sent.crc32, signal }
  if (!(await holdsSameBytes(writer, job.key, expected))) return { status: 'taken' }
  return { status: 'same', crc32: sent.crc32 }
}

async function send(
  writer: LogWriter,
  file: StagedFile,
  job: UploadJob & { key: string },
): Promise<Pick<TransferDone, 'crc32' | 'exists'>> {
  const key = writer.prefix + job.key
  const absent = writer.conditional !== 'none'
  if (file.size === 0) {
    const outcome = await writer.engine.writeDocument(writer.store, key, Buffer.alloc(0), {
      signal: job.signal,
      condition: absent ? 'absent' : undefined,
    })
    return { crc32: 0, exists: outcome.status === 'exists' }
  }
  try {
    return await writer.engine.move(
      {
        id: 0,
        length: file.size,
        pieces: [{ kind: 'file', at: 0, length: file.size, path: file.staged, offset: 0 }],
        to: { kind: 'object', store: writer.engine.attach(writer.store), key, absent },
      },
      { signal: job.signal },
    )
  } catch (error) {
    // A file that was truncated while it was read is not an I/O error of ours.
    if (!job.signal.aborted) await markSource(file)
    throw error
  }
}
