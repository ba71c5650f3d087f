import { randomBytes } from 'node:crypto'
import { lstat, rename, rm, symlink } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { diskError } from '../fs/disk-error.ts'
import { syncDir } from '../fs/durable.ts'
import { makePath } from '../fs/make-path.ts'

/** Refuses, before any transfer, a --link that would take the place of something that is no symbolic link. */
export async function checkLinkPath(link: string): Promise<void> {
  const stat = await lstat(link).catch(() => undefined)
  if (!stat || stat.isSymbolicLink()) return
  throw new LongshoreError('USAGE', `--link ${link}: something else is there already`, {
    path: link,
    hint: 'give a path that does not exist, or one that an earlier run made',
  })
}

/** Points `link` at `target` in one step: a reader that opens it meanwhile gets the old folder or the new one. */
export async function swapLink(link: string, target: string): Promise<void> {
  const path = resolve(link)
  const temp = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await makePath(dirname(path))
    await symlink(target, temp)
    try {
      await rename(temp, path)
    } catch (error) {
      await rm(temp, { force: true })
      throw error
    }
    await syncDir(dirname(path))
  } catch (error) {
    throw diskError(error, path)
  }
}
