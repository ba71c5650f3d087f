import { chmod, mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Cache } from './types.ts'

/**
 * mkdir -p with the cache's mode on every folder it makes, whatever the umask. Folders that are there already
 * keep theirs. Durable only with the parent's sync.
 */
export async function makeFolder(cache: Pick<Cache, 'modes'>, path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true })
  if (first === undefined) return
  for (let at = path; ; at = dirname(at)) {
    await chmod(at, cache.modes.dir)
    if (at === first || at.length <= first.length) return
  }
}
