import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { acquireLock, forgetLock, isLocked } from '../fs/lock.ts'
import { makeFolder } from '../fs/make-folder.ts'
import { deleteTree } from './delete-tree.ts'
import { lockFolder } from './locks.ts'
import type { Cache } from './types.ts'

/** A folder for temporary files that belong to no dataset yet (listings that are being sorted). */
export interface Scratch {
  path: string
  /** Removes it with all that is in it. Idempotent. */
  close(): Promise<void>
}

/** Made under staging/; what dead processes left there is removed by the next scratch or evict. */
export async function openScratch(cache: Cache): Promise<Scratch> {
  await sweepScratch(cache)
  const name = `scratch-${randomBytes(6).toString('hex')}`
  const path = join(cache.state, 'staging', name)
  // The lock first: a scratch folder without a living owner is anyone's to remove.
  const lock = await acquireLock(lockFolder(cache), name, { wait: true })
  await makeFolder(cache, path)
  return {
    path,
    async close() {
      await deleteTree(path)
      await lock?.release()
      await forgetLock(lockFolder(cache), name)
    },
  }
}

export async function sweepScratch(cache: Cache): Promise<void> {
  for (const name of await readdir(join(cache.state, 'staging'))) {
    if (!/^scratch-[0-9a-f]{12}$/.test(name) || (await isLocked(lockFolder(cache), name))) continue
    await deleteTree(join(cache.state, 'staging', name))
    await forgetLock(lockFolder(cache), name)
  }
}
