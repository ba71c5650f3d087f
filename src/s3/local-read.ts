import { constants } from 'node:fs'
import { type FileHandle, open, realpath } from 'node:fs/promises'
import { sep } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { listedFrom, localEtag } from './local-list.ts'
import { localError, localPath } from './local-path.ts'
import type { CallOptions, Document, GetRequest, GotBytes, ObjectInfo } from './store.ts'

/** Largest single read(2): a signal is looked at in between. */
const READ_BYTES = 16 * 1024 * 1024

export async function headLocal(root: string, key: string): Promise<ObjectInfo | undefined> {
  const path = localPath(root, key)
  const file = await openRegular(root, path)
  if (file === undefined) return undefined
  try {
    return { ...listedFrom(key, await file.stat({ bigint: true })), metadata: {}, checksums: {} }
  } finally {
    await file.close()
  }
}

/** Fills `into`. A file that was replaced, cut or written to since it was listed is SOURCE_CHANGED. */
export async function readLocal(
  root: string,
  request: GetRequest,
  into: Uint8Array,
  options: CallOptions = {},
): Promise<GotBytes> {
  const path = localPath(root, request.key)
  const file = await openRegular(root, path)
  if (file === undefined) throw localError(Object.assign(new Error('gone'), { code: 'ENOENT' }), path)
  try {
    const before = await file.stat({ bigint: true })
    const etag = localEtag(before)
    if (Number(before.size) !== request.size || (request.etag !== '' && etag !== request.etag)) {
      throw changed(path)
    }
    await fill(file, into, request.offset, path, options.signal)
    // Written to while it was read: half old, half new bytes are worse than none.
    const after = await file.stat({ bigint: true })
    if (localEtag(after) !== etag) throw changed(path)
    return { etag, check: 'size' }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw localError(error, path)
  } finally {
    await file.close()
  }
}

export async function readLocalDocument(
  root: string,
  key: string,
  maxBytes: number,
  options: CallOptions = {},
): Promise<Document | undefined> {
  // A document may be replaced while it is read: the new one is as good, so look again.
  for (let attempt = 0; ; attempt++) {
    const info = await headLocal(root, key)
    if (info === undefined) return undefined
    if (info.size > maxBytes) throw tooLarge(localPath(root, key), info.size, maxBytes)
    const bytes = Buffer.alloc(info.size)
    try {
      await readLocal(root, { key, offset: 0, size: info.size, etag: info.etag }, bytes, options)
      return { bytes, etag: info.etag }
    } catch (error) {
      const again = error instanceof LongshoreError && ['SOURCE_CHANGED', 'NOT_FOUND'].includes(error.code)
      if (!again || attempt >= 5) throw error
    }
  }
}

export function tooLarge(path: string, size: number, maxBytes: number): LongshoreError {
  return new LongshoreError('INTEGRITY', `${path}: ${size} bytes where at most ${maxBytes} are expected`, {
    path,
    hint: 'this is not a file that longshore wrote; look at what put it there',
  })
}

/**
 * Opens a regular file, or undefined when there is none. O_NONBLOCK: a pipe that took the name since the
 * listing must not block a thread of the pool for ever.
 */
async function openRegular(root: string, path: string): Promise<FileHandle | undefined> {
  try {
    const file = await openInside(root, path)
    if ((await file.stat()).isFile()) return file
    await file.close()
    return undefined
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined
    if (errorCode(error) === 'ENXIO') return undefined
    throw localError(error, path)
  }
}

async function openInside(root: string, path: string): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  try {
    return await open(path, flags | constants.O_NOFOLLOW)
  } catch (error) {
    if (errorCode(error) !== 'ELOOP') throw error
  }
  const target = await realpath(path)
  const top = await realpath(root)
  if (!target.startsWith(top === sep ? sep : top + sep)) {
    throw new LongshoreError('ACCESS_DENIED', `${path}: a link that leads out of ${root}`, {
      path,
      hint: 'copy the file into the folder, or name its real folder as the source',
    })
  }
  return open(target, flags)
}

async function fill(
  file: FileHandle,
  into: Uint8Array,
  offset: number,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let done = 0; done < into.length; ) {
    signal?.throwIfAborted()
    const length = Math.min(READ_BYTES, into.length - done)
    const { bytesRead } = await file.read(into, done, length, offset + done)
    if (bytesRead === 0) throw changed(path)
    done += bytesRead
  }
}

function changed(path: string): LongshoreError {
  return new LongshoreError('SOURCE_CHANGED', `${path}: changed since it was listed`, {
    path,
    hint: 'run again when nothing writes to it',
  })
}
