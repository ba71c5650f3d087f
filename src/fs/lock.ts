import { randomBytes } from 'node:crypto'
import { link, lstat, readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LongshoreError } from '../errors.ts'
import { errorCode } from './error-code.ts'
import { type Listening, listenAt, probeSocket, waitForEnd } from './socket.ts'

/**
 * Locks between the processes of one machine, in whatever containers they live: the owner of `NAME` listens on
 * a unix socket in a shared folder. The kernel closes it when the owner dies, however it dies; a pid would mean
 * nothing in another pid namespace, and Node has no flock.
 *
 * `NAME.<g>` is the socket of generation g. Whoever finds the highest one dead hard-links an own, already
 * listening socket as `NAME.<g+1>`; link(2) lets one contender through. The highest is never unlinked, so a slow
 * contender who links a number that was tidied away meanwhile sees a higher one afterwards and steps back.
 */
export interface Lock {
  readonly name: string
  /** Lets the next one in. Idempotent. */
  release(): Promise<void>
}

export interface LockOptions {
  /** false: undefined at once when someone else has it. */
  wait: boolean
  signal?: AbortSignal | undefined
  /** Called once, when it turns out that someone else has it. */
  onWait?: (() => void) | undefined
}

/** Generations kept below the highest: a folder listing that races with tidying still sees one of them. */
const KEPT = 4
/** ms; an unconnectable socket under a temporary name that is older is a dead contender's */
const STALE_MS = 60_000
/** ms between two looks where the owner is too busy to let anyone wait on a connection */
const POLL_MS = 100

/**
 * Takes the lock `name` in `dir`, which must exist and be writable (else LOCAL_IO). Undefined only with
 * `wait: false`. Waiting ends with the signal's reason. No order among those who wait. Held until release() or
 * the process's end; it does not keep the process alive, and children don't inherit it.
 */
export async function acquireLock(
  dir: string,
  name: string,
  options: LockOptions,
): Promise<Lock | undefined> {
  if (!/^[\w-]{1,48}$/.test(name)) throw new LongshoreError('INTERNAL', `bad lock name: ${name}`)
  let mine: Listening | undefined
  let told = false
  try {
    for (;;) {
      options.signal?.throwIfAborted()
      const top = await highestGeneration(dir, name)
      const owner = top === 0 ? 'dead' : await probeSocket(dir, `${name}.${top}`)
      if (owner === 'gone') continue
      if (owner !== 'dead') {
        if (options.wait && !told) options.onWait?.()
        told = true
        if (owner === 'busy') {
          if (!options.wait) return undefined
          await sleep(POLL_MS, undefined, options.signal ? { signal: options.signal } : {})
        } else if (options.wait) {
          await waitForEnd(owner, options.signal)
        } else {
          owner.destroy()
          return undefined
        }
        continue
      }
      mine ??= await listenAt(dir, `${name}.${randomBytes(6).toString('hex')}.new`)
      const claimed = await claim(dir, name, top + 1, mine)
      if (claimed === 'taken') continue
      if (claimed === 'late') {
        // Someone may have begun to wait on it as if it were the owner's.
        await mine.close()
        mine = undefined
        continue
      }
      await unlink(mine.path)
      await tidy(dir, name, top + 1)
      const held = mine
      mine = undefined
      return { name, release: () => held.close() }
    }
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason
    if (error instanceof LongshoreError) throw error
    throw new LongshoreError(
      'LOCAL_IO',
      `cannot lock ${name} in ${dir}: ${String(errorCode(error) ?? error)}`,
      {
        path: dir,
        hint: 'the folder must be on a local filesystem and writable',
        cause: error,
      },
    )
  } finally {
    await mine?.close()
  }
}

/** Whether a living process has the lock. Needs no write access; a missing folder is not locked. */
export async function isLocked(dir: string, name: string): Promise<boolean> {
  for (;;) {
    const top = await highestGeneration(dir, name).catch((error) => {
      if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return 0
      throw error
    })
    if (top === 0) return false
    const owner = await probeSocket(dir, `${name}.${top}`)
    if (owner === 'gone') continue
    if (owner === 'dead') return false
    if (owner !== 'busy') owner.destroy()
    return true
  }
}

/**
 * Removes what a lock leaves behind. Only for names that exactly one process ever takes (they hold a nonce) and
 * that is done with it: for any other name this would let two owners in.
 */
export async function forgetLock(dir: string, name: string): Promise<void> {
  for (const entry of await readdir(dir)) {
    if (entry.startsWith(`${name}.`)) await unlink(join(dir, entry)).catch(ignoreMissing)
  }
}

/**
 * Removes the sockets that killed owners left under names that are taken once only (they hold a nonce, and match
 * `once`), and those of killed contenders for any name. What another user made may have to stay.
 */
export async function sweepLocks(dir: string, once: RegExp): Promise<void> {
  for (const entry of await readdir(dir)) {
    if (entry.endsWith('.new')) {
      await removeDeadContender(dir, entry)
      continue
    }
    const name = entry.replace(/\.[1-9]\d*$/, '')
    // It listened before it had this name: dead means that its owner is gone.
    if (name !== entry && once.test(name)) await removeDead(dir, entry)
  }
}

/**
 * One try for a generation. 'late': the number had been used and tidied away; it is free again, and the lock is
 * somebody else's. Exported for its test only: from outside, that moment can't be hit on purpose.
 */
export async function claim(
  dir: string,
  name: string,
  generation: number,
  mine: Listening,
): Promise<'ours' | 'taken' | 'late'> {
  const path = join(dir, `${name}.${generation}`)
  try {
    await link(mine.path, path)
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return 'taken'
    throw error
  }
  if ((await highestGeneration(dir, name)) === generation) return 'ours'
  await unlink(path).catch(ignoreMissing)
  return 'late'
}

/** Best effort: in a folder with the sticky bit the sockets of other users stay. */
async function tidy(dir: string, name: string, generation: number): Promise<void> {
  for (const entry of await readdir(dir)) {
    const path = join(dir, entry)
    const old = generationOf(entry, name)
    if (old > 0 && old < generation - KEPT) await unlink(path).catch(() => {})
    if (entry.startsWith(`${name}.`) && entry.endsWith('.new')) await removeDeadContender(dir, entry)
  }
}

/** Not a young one: between its bind and its listen it looks dead. */
async function removeDeadContender(dir: string, entry: string): Promise<void> {
  const stat = await lstat(join(dir, entry)).catch(() => undefined)
  if (stat !== undefined && Date.now() - stat.mtimeMs >= STALE_MS) await removeDead(dir, entry)
}

async function removeDead(dir: string, entry: string): Promise<void> {
  const owner = await probeSocket(dir, entry).catch(() => 'busy' as const)
  if (owner === 'dead') await unlink(join(dir, entry)).catch(() => {})
  else if (typeof owner !== 'string') owner.destroy()
}

async function highestGeneration(dir: string, name: string): Promise<number> {
  let top = 0
  for (const entry of await readdir(dir)) top = Math.max(top, generationOf(entry, name))
  return top
}

/** 0: no generation of this lock. */
function generationOf(entry: string, name: string): number {
  if (!entry.startsWith(`${name}.`)) return 0
  const rest = entry.slice(name.length + 1)
  return /^[1-9]\d{0,14}$/.test(rest) ? Number(rest) : 0
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error
}
