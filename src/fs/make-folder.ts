import { chmod } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makePath } from './make-path.ts'

/** Permission bits of what is made: folders, state files, data files. */
export interface Modes {
  dir: number
  file: number
  data: number
}

/**
 * mkdir -p with that mode on every folder it makes, whatever the umask. Folders that are there already
 * keep theirs. Durable only with the parent's sync.
 */
export async function makeFolder(owner: { modes: Modes }, path: string): Promise<void> {
  const first = await makePath(path)
  if (first === undefined) return
  for (let at = path; ; at = dirname(at)) {
    await chmod(at, owner.modes.dir)
    if (at === first || at.length <= first.length) return
  }
}
