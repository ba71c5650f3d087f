import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'

/** Longshore's own folder at the top of a local store: temporary files, open uploads. Never listed with the rest. */
export const STATE_FOLDER = '.longshore'
/** Longest file name of every common Linux filesystem, in bytes. */
const MAX_NAME_BYTES = 255

/**
 * Where a key lives below `root`: at its own relative path, so that a folder and a bucket hold the same names.
 * A key that is no safe path is refused (UNSUPPORTED), never bent: `../x` must not leave the root.
 */
export function localPath(root: string, key: string): string {
  for (const segment of key.split('/')) {
    if (segment === '' || segment === '.' || segment === '..' || segment.includes('\0')) {
      throw unsupported(root, key, 'its segments are no file names')
    }
    if (Buffer.byteLength(segment) > MAX_NAME_BYTES) {
      throw unsupported(root, key, `a name in it is longer than ${MAX_NAME_BYTES} bytes`)
    }
  }
  return join(root, key)
}

function unsupported(root: string, key: string, why: string): LongshoreError {
  return new LongshoreError('UNSUPPORTED', `${JSON.stringify(key)} can't be kept in a local folder: ${why}`, {
    path: `file://${root}/${key}`,
    hint: 'use a bucket for it, or rename the object',
  })
}

/** Node's own file errors as the one line a user reads. LongshoreErrors pass through. */
export function localError(error: unknown, path: string): LongshoreError {
  if (error instanceof LongshoreError) return error
  const code = errorCode(error)
  const make = (kind: ConstructorParameters<typeof LongshoreError>[0], what: string, hint: string) =>
    new LongshoreError(kind, `${path}: ${what}`, { path, hint, cause: error })
  switch (code) {
    case 'ENOENT':
      return make('NOT_FOUND', 'no such file or folder', 'check the path')
    case 'EACCES':
    case 'EPERM':
      return make('ACCESS_DENIED', 'permission denied', 'run as a user who may use it, or change its mode')
    case 'ENOSPC':
    case 'EDQUOT':
      return make(
        'NO_SPACE',
        code === 'EDQUOT' ? 'the quota is used up' : 'the disk is full',
        'free some space',
      )
    case 'EROFS':
      return make('LOCAL_IO', 'the filesystem is read-only', 'choose a folder that can be written')
    case 'ENOTDIR':
    case 'EISDIR':
      return make('KEY_CONFLICT', 'a file and a folder want the same name', 'rename one of the two')
    case 'EXDEV':
      return make('UNSUPPORTED', 'another filesystem is mounted inside the folder', 'use one filesystem')
    default:
      return make('LOCAL_IO', error instanceof Error ? error.message : String(error), 'see the system log')
  }
}
