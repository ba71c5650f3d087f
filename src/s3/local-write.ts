import { link, open, rename, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { syncDir } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { acquireLock } from '../fs/lock.ts'
import { makePath } from '../fs/make-path.ts'
import { localEtag } from './local-list.ts'
import { localError, localPath, STATE_FOLDER } from './local-path.ts'
import { tempPath } from './local-temp.ts'
import type { CallOptions, PutRequest, WriteOutcome } from './store.ts'

const WRITE_BYTES = 16 * 1024 * 1024

/** One whole file under its key's name: written aside, synced, then linked or renamed into place. */
export async function putLocal(
  root: string,
  request: PutRequest,
  options: CallOptions = {},
): Promise<WriteOutcome> {
  const { condition, body } = request
  async function* chunks() {
    for (let at = 0; at < body.length; at += WRITE_BYTES) yield body.subarray(at, at + WRITE_BYTES)
  }
  const path = localPath(root, request.key)
  // Before any byte is written: a conditional put that can't succeed costs nothing.
  if (condition === 'absent' && (await statOf(path)) !== undefined) return { status: 'exists' }
  return aside({ root, path, body: chunks(), options }, (temp) => {
    if (condition === undefined) return place(temp, path)
    return condition === 'absent'
      ? placeAbsent(temp, path)
      : placeIf({ root, temp, path, etag: condition.etag, signal: options.signal })
  })
}

export async function putStreamLocal(
  root: string,
  key: string,
  body: Readable,
  options: CallOptions = {},
): Promise<WriteOutcome> {
  const path = localPath(root, key)
  return aside({ root, path, body, options }, (temp) => place(temp, path))
}

/** rename(2) over whatever is there. `temp` must have been synced. */
export async function place(temp: string, path: string): Promise<WriteOutcome> {
  const stats = await stat(temp, { bigint: true })
  await rename(temp, path)
  await syncDir(dirname(path))
  return { status: 'written', etag: localEtag(stats) }
}

/** link(2): exactly one of several writers gets the name. */
export async function placeAbsent(temp: string, path: string): Promise<WriteOutcome> {
  try {
    await link(temp, path)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return { status: 'exists' }
    throw error
  }
  await syncDir(dirname(path))
  const stats = await stat(path, { bigint: true })
  await unlink(temp)
  return { status: 'written', etag: localEtag(stats) }
}

/** Makes the folders above a key's file; each new one is synced into its parent. */
export async function makeParents(path: string): Promise<void> {
  let made: string | undefined
  try {
    made = await makePath(dirname(path))
  } catch (error) {
    // mkdir's word for a file where a folder has to be.
    if (errorCode(error) === 'EEXIST')
      throw localError(Object.assign(error as Error, { code: 'ENOTDIR' }), path)
    throw error
  }
  if (made === undefined) return
  for (let dir = dirname(path); dir.length >= made.length; dir = dirname(dir)) await syncDir(dirname(dir))
}

/** rename(2) has no condition of its own: look and rename under a lock that dies with its owner. */
async function placeIf(about: {
  root: string
  temp: string
  path: string
  etag: string
  signal: AbortSignal | undefined
}): Promise<WriteOutcome> {
  const locks = join(about.root, STATE_FOLDER, 'locks')
  await makePath(locks)
  const lock = await acquireLock(locks, 'replace', { wait: true, signal: about.signal })
  try {
    const now = await statOf(about.path)
    if (now !== about.etag) return { status: 'exists' }
    return await place(about.temp, about.path)
  } finally {
    await lock?.release()
  }
}

async function aside(
  about: {
    root: string
    path: string
    body: AsyncIterable<Uint8Array>
    options: CallOptions
  },
  finish: (temp: string) => Promise<WriteOutcome>,
): Promise<WriteOutcome> {
  const { root, path, body, options } = about
  let temp: string | undefined
  try {
    temp = await tempPath(root)
    const file = await open(temp, 'wx', 0o666)
    try {
      for await (const chunk of body) {
        options.signal?.throwIfAborted()
        await file.writeFile(chunk)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await makeParents(path)
    return await finish(temp)
  } catch (error) {
    options.signal?.throwIfAborted()
    throw localError(error, path)
  } finally {
    if (temp !== undefined) await unlink(temp).catch(() => {})
  }
}

async function statOf(path: string): Promise<string | undefined> {
  try {
    return localEtag(await stat(path, { bigint: true }))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw localError(error, path)
  }
}
