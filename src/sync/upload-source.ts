import { lstat, open } from 'node:fs/promises'
import { crc32 } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import type { StagedFile } from './types.ts'

/** A staged file as it was before its bytes were read. */
export interface SourceMark {
  ctimeNs: bigint
}

/**
 * A staged file is a hard link: a writer that opens the original again writes into the stage too. So each file is
 * compared with what was staged before its bytes are read, and again after. Throws SOURCE_CHANGED.
 */
export async function markSource(file: StagedFile): Promise<SourceMark> {
  const stat = await lstat(file.staged, { bigint: true }).catch((cause: unknown) => {
    throw changed(file, errorCode(cause) === 'ENOENT' ? 'is gone' : "can't be read", cause)
  })
  if (!stat.isFile()) throw changed(file, 'is no longer a file')
  if (stat.size !== BigInt(file.size)) throw changed(file, `had ${file.size} bytes, now ${stat.size}`)
  if (String(stat.ino) !== file.inode) throw changed(file, 'was replaced')
  if (String(stat.mtimeNs) !== file.mtimeNs) throw changed(file, 'was written to')
  return { ctimeNs: stat.ctimeNs }
}

/**
 * After reading: still the same, and the bytes that were sent are the file's. ctime can't be set back, so when it
 * stands still nothing was written. When it moved it may only be the original's name that was unlinked or linked:
 * then the bytes are read once more and decide.
 */
export async function confirmSource(
  file: StagedFile,
  before: SourceMark,
  sent: { crc32: number; signal: AbortSignal },
): Promise<void> {
  const after = await markSource(file)
  if (after.ctimeNs === before.ctimeNs) return
  const now = await crcOfFile(file.staged, { size: file.size, signal: sent.signal })
  if (now !== sent.crc32) throw changed(file, 'was written to while it was uploaded')
}

/** CRC-32 of a local file's first `size` bytes; a shorter file gives undefined. */
export async function crcOfFile(
  path: string,
  options: { size: number; signal: AbortSignal },
): Promise<number | undefined> {
  const handle = await open(path, 'r')
  try {
    const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(options.size, 1024 * 1024)))
    let crc = 0
    for (let at = 0; at < options.size; ) {
      options.signal.throwIfAborted()
      const want = Math.min(buffer.length, options.size - at)
      const { bytesRead } = await handle.read(buffer, 0, want, at)
      if (bytesRead === 0) return undefined
      crc = crc32(buffer.subarray(0, bytesRead), crc)
      at += bytesRead
    }
    return crc
  } finally {
    await handle.close()
  }
}

function changed(file: StagedFile, what: string, cause?: unknown): LongshoreError {
  return new LongshoreError('SOURCE_CHANGED', `${file.path} ${what} since it was staged`, {
    path: file.path,
    hint: 'the checkpoint is looked at again; a trainer should write each checkpoint under a new name',
    cause,
  })
}
