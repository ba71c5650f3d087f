import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { acquireLock, isLocked, type Lock } from '../fs/lock.ts'
import { STATE_FOLDER } from '../manifest/checkpoint.ts'

export interface Home {
  /** DIR/.longshore */
  readonly stateDir: string
  /**
   * Makes sure that DIR/.longshore is there and that this process has its lock. 'missing': there is no DIR.
   * 'new': it was made, or made anew. Throws LOCKED when another sidecar has it.
   */
  ensure(signal: AbortSignal): Promise<'missing' | 'new' | 'kept'>
  release(): Promise<void>
}

export function createHome(dir: string): Home {
  const stateDir = join(dir, STATE_FOLDER)
  let lock: Lock | undefined
  let inode: string | undefined

  return {
    stateDir,
    async ensure(signal) {
      try {
        // Never recursive: a DIR that is not there may be a mount point, and is awaited.
        await mkdir(stateDir, { mode: 0o755 })
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return 'missing'
        if (errorCode(error) !== 'EEXIST') throw unusable(stateDir, error)
      }
      const found = await stat(stateDir, { bigint: true }).catch(() => undefined)
      if (found === undefined) return 'missing'
      const now = `${found.dev}:${found.ino}`
      if (lock !== undefined && inode === now) return 'kept'
      // Removed with DIR and made anew: the old lock guards nothing any more.
      await lock?.release()
      lock = await acquireLock(stateDir, 'sync', { wait: false, signal })
      if (lock === undefined) {
        throw locked(dir)
      }
      inode = now
      return 'new'
    },
    async release() {
      await lock?.release()
      lock = undefined
    },
  }
}

/** Throws LOCKED when another sidecar is at work on DIR now. Takes nothing; a DIR that is missing is free. */
export async function checkHome(dir: string): Promise<void> {
  if (await isLocked(join(dir, STATE_FOLDER), 'sync')) throw locked(dir)
}

function locked(dir: string): LongshoreError {
  return new LongshoreError('LOCKED', `another longshore sync is at work on ${dir}`, {
    path: dir,
    hint: 'one sidecar a folder: stop the other one, or give each its own folder',
  })
}

function unusable(path: string, error: unknown): LongshoreError {
  return new LongshoreError('LOCAL_IO', `${path} can not be made: ${String(errorCode(error) ?? error)}`, {
    path,
    hint: 'longshore keeps its state in a .longshore folder there; it must be writable',
    cause: error,
  })
}
