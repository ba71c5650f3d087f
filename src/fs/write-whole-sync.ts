import { closeSync, fchmodSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs'
import { errorCode } from './error-code.ts'

export interface WholePlace {
  /** On the same filesystem as `path`. What a killed run left under this name is removed. */
  temp: string
  path: string
  mode: number
}

/**
 * A whole small file under a temporary name, then renamed: four calls that return at once cost a third of four
 * promises. `umask`: the bits that open(2) takes from a mode. Throws node's errors, and then `temp` is gone again.
 */
export function writeWholeSync({ temp, path, mode }: WholePlace, bytes: Uint8Array, umask: number): void {
  const fd = openNew(temp, mode)
  try {
    try {
      writeAllSync(fd, bytes, 0)
      if ((mode & umask) !== 0) fchmodSync(fd, mode)
    } catch (error) {
      quietly(() => closeSync(fd))
      throw error
    }
    // Its error counts: a network filesystem may tell only here that it has no room.
    closeSync(fd)
    renameSync(temp, path)
  } catch (error) {
    quietly(() => unlinkSync(temp))
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

function openNew(temp: string, mode: number): number {
  try {
    return openSync(temp, 'wx', mode)
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  }
  unlinkSync(temp)
  return openSync(temp, 'wx', mode)
}

function quietly(undo: () => void): void {
  try {
    undo()
  } catch {
    // The first error is the one to tell.
  }
}
