import { closeSync, fchmodSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { errorCode } from './error-code.ts'

export interface WholePlace {
  /**
   * On the same filesystem as `path`; undefined: written as `path` itself, in a folder that nobody sees yet. What a
   * killed run left under the name that is written is removed.
   */
  temp?: string | undefined
  path: string
  mode: number
}

/**
 * A whole small file under a temporary name, then renamed, or where it is hidden under its own: calls that return at
 * once cost a third of as many promises. `umask`: the bits that open(2) takes from a mode. Throws node's errors, and
 * then what it wrote is gone again.
 */
export function writeWholeSync({ temp, path, mode }: WholePlace, bytes: Uint8Array, umask: number): void {
  const name = temp ?? path
  const fd = openNew(name, mode)
  try {
    try {
      // Before the bytes: killed at any moment, a file that has its size has its mode too.
      if ((mode & umask) !== 0) fchmodSync(fd, mode)
      writeAllSync(fd, bytes, 0)
    } catch (error) {
      quietly(() => closeSync(fd))
      throw error
    }
    // Its error counts: a network filesystem may tell only here that it has no room.
    closeSync(fd)
    if (temp !== undefined) renameSync(temp, path)
  } catch (error) {
    quietly(() => unlinkSync(name))
    throw error
  }
}

/** All of `bytes` at `offset`. Throws node's errors. */
export function writeAllSync(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    const written = writeSync(fd, bytes, done, bytes.length - done, offset + done)
    if (written === 0) throw new Error('the filesystem takes no more bytes, and does not say why')
    done += written
  }
}

/** Never into a file that is there: it may be another version's too, by a hard link. */
function openNew(name: string, mode: number): number {
  try {
    return openSync(name, 'wx', mode)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  unlinkSync(name)
  return openSync(name, 'wx', mode)
}

function quietly(undo: () => void): void {
  try {
    undo()
  } catch {
    // The first error is the one to tell.
  }
}
