import { randomBytes } from 'node:crypto'
import { readdir, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { Amount } from '../fs/amount.ts'
import { syncDir, syncDirIfThere } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { deleteTree } from './delete-tree.ts'
import { measureTree } from './measure-tree.ts'
import type { Cache } from './types.ts'

/**
 * `.longshore/trash/<bytes>-<nonce>`: what has left the cache's tree in one rename and is being deleted. The name
 * says how much it may still take, so counting needs no walk. Anyone may go on with it after a crash.
 */
const NAME = /^(\d{1,16})-[0-9a-f]{12}$/

/** Takes a folder out of the tree in one step. Undefined: it is not there. */
export async function moveToTrash(cache: Cache, path: string, bytes: number): Promise<string | undefined> {
  const to = join(cache.state, 'trash', `${bytes}-${randomBytes(6).toString('hex')}`)
  try {
    await rename(path, to)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  // Another evict may have taken its last dataset, and the folder with it.
  await syncDirIfThere(dirname(path))
  await syncDir(dirname(to))
  return to
}

/** Deletes what crashed or running evictions left in the trash. */
export async function emptyTrash(
  cache: Cache,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Amount> {
  const freed: Amount = { files: 0, bytes: 0 }
  for (const name of await readdir(join(cache.state, 'trash'))) {
    if (!NAME.test(name)) continue
    const part = await deleteTrash(cache, join(cache.state, 'trash', name), options)
    freed.files += part.files
    freed.bytes += part.bytes
  }
  return freed
}

/** Deletes one piece of trash. What may not be deleted is named and stays, counted: the rest of the cache goes on. */
export async function deleteTrash(
  cache: Cache,
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Amount> {
  try {
    return await deleteTree(path, options)
  } catch (error) {
    const code = errorCode(error) ?? ''
    if (!['EACCES', 'EPERM'].includes(code)) throw error
    const at = error instanceof Error && 'path' in error ? String(error.path) : path
    cache.warn(`evicted, but not all of it can be deleted: ${at}: ${code}`, {
      path: at,
      hint: 'another user put it there: remove it as that user, or evict as root',
    })
    await recount(cache, path)
    return { files: 0, bytes: 0 }
  }
}

/** The name says what it takes: what went already must not count against the limits for ever. */
async function recount(cache: Cache, path: string): Promise<void> {
  try {
    const { bytes } = await measureTree(path, { shared: 'whole' })
    if (!basename(path).startsWith(`${bytes}-`)) await moveToTrash(cache, path, bytes)
  } catch {
    // It can't even be looked into: it counts as it did.
  }
}

/** bytes that the trash takes at most */
export async function trashBytes(cache: Cache): Promise<number> {
  let bytes = 0
  const names = await readdir(join(cache.state, 'trash')).catch(() => [])
  for (const name of names) bytes += Number(NAME.exec(name)?.[1] ?? 0)
  return bytes
}
