import { createHash, randomBytes } from 'node:crypto'
import { lstat, mkdir, opendir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { acquireLock, type Lock } from '../fs/lock.ts'
import { makePath } from '../fs/make-path.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface Scratch {
  path: string
  remove(): Promise<void>
}

/** ms; a folder that was being set up this long ago belongs to a dead process */
const STALE_MS = 3_600_000

/**
 * A folder of this process's own for what does not fit into memory, removed by `remove`. Before, the folders of
 * processes that were killed are cleared away: each holds a lock that died with its owner.
 */
export async function openScratch(env: Env): Promise<Scratch> {
  const base = join(await runtimeDir(env), 'scratch')
  const id = randomBytes(8).toString('hex')
  const making = join(base, `making-${id}`)
  const path = join(base, `sort-${id}`)
  try {
    await makePath(base, { mode: 0o700 })
    await clearDead(base)
    await mkdir(making, { mode: 0o700 })
    // Locked first, named after: nobody ever sees a `sort-` folder of a living process without its lock.
    const lock = await acquireLock(making, 'owner', { wait: false })
    await rename(making, path)
    return {
      path,
      async remove() {
        await rm(path, { recursive: true, force: true })
        await lock?.release()
      },
    }
  } catch (error) {
    await rm(making, { recursive: true, force: true })
    throw scratchError(error, base)
  }
}

/** The lock of a destination: two packs of one dataset on one node take turns, and the second finds all done. */
export async function lockDestination(
  url: string,
  options: { env: Env; signal: AbortSignal; onWait: () => void },
): Promise<Lock | undefined> {
  const dir = join(await runtimeDir(options.env), 'locks')
  await makePath(dir, { mode: 0o700 })
  const name = `pack-${createHash('sha256').update(url).digest('hex').slice(0, 32)}`
  return acquireLock(dir, name, { wait: true, signal: options.signal, onWait: options.onWait })
}

/** `$TMPDIR/longshore-<uid>`, ours alone: a folder someone else made there could be swapped under us. */
async function runtimeDir(env: Env): Promise<string> {
  const uid = process.getuid?.() ?? 0
  const dir = join(env.TMPDIR || tmpdir(), `longshore-${uid}`)
  try {
    await makePath(dir, { mode: 0o700 })
    const stats = await lstat(dir)
    if (stats.isDirectory() && stats.uid === uid && (stats.mode & 0o022) === 0) return dir
  } catch (cause) {
    throw new LongshoreError('LOCAL_IO', `no folder for temporary files: ${dir} (${errorCode(cause)})`, {
      path: dir,
      hint: 'set TMPDIR to a folder you can write to',
      cause,
    })
  }
  throw new LongshoreError('LOCAL_IO', `${dir} belongs to someone else, or others may write to it`, {
    path: dir,
    hint: 'set TMPDIR to a folder of your own',
  })
}

/** What a failed read or write of a temporary file means to a user; longshore's own errors stay as they are. */
export function scratchError(error: unknown, path: string): unknown {
  const code = errorCode(error)
  if (error instanceof LongshoreError || code === undefined) return error
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  const what = full ? 'no space for temporary files' : 'temporary files fail'
  return new LongshoreError(full ? 'NO_SPACE' : 'LOCAL_IO', `${what} in ${path} (${code})`, {
    path,
    hint: 'set TMPDIR to a folder on a larger disk',
    cause: error,
  })
}

async function clearDead(base: string): Promise<void> {
  for await (const entry of await opendir(base)) {
    const path = join(base, entry.name)
    try {
      if (entry.name.startsWith('sort-')) await clearIfDead(path)
      else if (Date.now() - (await lstat(path)).mtimeMs > STALE_MS)
        await rm(path, { recursive: true, force: true })
    } catch {
      // Someone else clears it at the same moment, or it can't be cleared: the next run looks again.
    }
  }
}

async function clearIfDead(path: string): Promise<void> {
  const lock = await acquireLock(path, 'owner', { wait: false })
  if (lock === undefined) return
  try {
    await rm(path, { recursive: true, force: true })
  } finally {
    await lock.release()
  }
}
