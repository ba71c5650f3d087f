import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorCode } from './error-code.ts'

/**
 * mkdir -p. Gives the first folder that it made, undefined when all were there. Not node's own `recursive`: where
 * a filesystem answers ENOENT although the parent is there (/proc, a dead automount), that one never returns and
 * blocks the whole process (node 20 and 22). Throws node's errors; EEXIST when a file is at `path`.
 */
export async function makePath(path: string, options: { mode?: number } = {}): Promise<string | undefined> {
  try {
    await mkdir(path, options.mode)
    return path
  } catch (error) {
    if (errorCode(error) === 'EEXIST') {
      if ((await stat(path)).isDirectory()) return undefined
      throw error
    }
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) throw error
  }
  const first = await makePath(dirname(path), options)
  try {
    await mkdir(path, options.mode)
  } catch (error) {
    // Someone else made it meanwhile. A second ENOENT is the filesystem's last word.
    if (errorCode(error) !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error
    return first
  }
  return first ?? path
}
