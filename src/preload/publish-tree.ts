import { rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Cache } from '../cache/types.ts'
import { allOf } from '../fs/all-of.ts'
import { syncAbove, syncDir } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { makeFolder } from '../fs/make-folder.ts'

/** Evictions that come between the folders above and the rename, one after the other. */
const TRIES = 5

/**
 * Gives a version's folder, made whole and synced out of sight, its place in the cache, in one step, durably. Under
 * the dataset's lock. Killed before the rename, the next run finds the tree; after it, the folder.
 */
export async function publishTree(cache: Cache, tree: string, place: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await makeFolder(cache, dirname(place))
      await rename(tree, place)
      break
    } catch (error) {
      // An evict of the version beside it took the folders above: they were empty.
      if (errorCode(error) !== 'ENOENT' || attempt >= TRIES) throw error
    }
  }
  await allOf([syncAbove([place], cache.root), syncDir(dirname(tree))])
}
