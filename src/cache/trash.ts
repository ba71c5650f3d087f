import { randomBytes } from 'node:crypto'
import { readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Amount } from '../fs/amount.ts'
import { syncDir } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { deleteTree } from './delete-tree.ts'
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
  await syncDir(dirname(path))
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
    const part = await deleteTree(join(cache.state, 'trash', name), options)
    freed.files += part.files
    freed.bytes += part.bytes
  }
  return freed
}

/** bytes that the trash takes at most */
export async function trashBytes(cache: Cache): Promise<number> {
  let bytes = 0
  const names = await readdir(join(cache.state, 'trash')).catch(() => [])
  for (const name of names) bytes += Number(NAME.exec(name)?.[1] ?? 0)
  return bytes
}
