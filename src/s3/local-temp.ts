import { randomBytes } from 'node:crypto'
import { opendir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makePath } from '../fs/make-path.ts'
import { STATE_FOLDER } from './local-path.ts'

/** What was not written to for so long belongs to a run that was killed: a live one writes all the time. */
const ABANDONED_MS = 24 * 60 * 60 * 1000
/** Folders that this process has swept. */
const swept = new Set<string>()

/** A new name in `root/.longshore/tmp`, where files and folders are made whole before they get their names. */
export async function tempPath(root: string): Promise<string> {
  const folder = join(root, STATE_FOLDER, 'tmp')
  await makePath(folder)
  if (!swept.has(folder)) {
    swept.add(folder)
    await sweep(folder)
  }
  return join(folder, randomBytes(12).toString('hex'))
}

async function sweep(folder: string): Promise<void> {
  const limit = Date.now() - ABANDONED_MS
  try {
    for await (const entry of await opendir(folder)) {
      const path = join(folder, entry.name)
      const { mtimeMs } = await stat(path)
      if (mtimeMs < limit) await rm(path, { recursive: true, force: true })
    }
  } catch {
    // Tidying is a courtesy: what can't be swept now is in nobody's way.
  }
}
