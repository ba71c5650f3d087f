import { isLongshoreError, LongshoreError } from '../errors.ts'
import { errorCode } from './error-code.ts'

/** What a failed local read or write means to a user; longshore's own errors and aborts stay as they are. */
export function diskError(error: unknown, path: string): unknown {
  if (isLongshoreError(error)) return error
  const code = errorCode(error)
  if (code === undefined) return error
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    const what = code === 'ENOSPC' ? 'the filesystem is full' : 'the disk quota is used up'
    return new LongshoreError('NO_SPACE', `${path}: ${what}`, {
      path,
      cause: error,
      hint: 'free some space (longshore evict), or give --make-room; what is finished is kept',
    })
  }
  const why = error instanceof Error ? error.message : code
  return new LongshoreError('LOCAL_IO', `${path}: ${why}`, { path, cause: error })
}
