import { lstat, opendir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Amount } from '../fs/amount.ts'
import { errorCode } from '../fs/error-code.ts'

/** Entries in work at once: enough to keep a disk busy, few enough to be nothing in memory. */
const BATCH = 32

/**
 * Removes a file or a whole folder and tells what that gave back: names with another hard link give nothing.
 * Several may delete one tree at once; what is gone already is no error. Memory does not grow with the tree.
 */
export async function deleteTree(
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Amount> {
  const freed: Amount = { files: 0, bytes: 0 }
  await deleteAny(path, freed, options.signal)
  return freed
}

async function deleteAny(path: string, freed: Amount, signal: AbortSignal | undefined): Promise<void> {
  // lstat: a symlink in place of a folder is removed, never followed.
  const stat = await lstat(path).catch(ignoreMissing)
  if (stat === undefined) return
  if (stat.isDirectory()) return deleteFolder(path, freed, signal)
  try {
    await unlink(path)
  } catch (error) {
    return ignoreMissing(error)
  }
  if (stat.nlink > 1) return
  freed.files += 1
  freed.bytes += stat.size
}

async function deleteFolder(path: string, freed: Amount, signal: AbortSignal | undefined): Promise<void> {
  // Again when the folder is not empty in the end: some filesystems skip entries while others go.
  for (let round = 0; ; round++) {
    const dir = await opendir(path).catch(ignoreMissing)
    if (dir === undefined) return
    let batch: Promise<void>[] = []
    for await (const entry of dir) {
      signal?.throwIfAborted()
      const child = join(path, entry.name)
      if (entry.isDirectory()) await deleteFolder(child, freed, signal)
      else batch.push(deleteAny(child, freed, signal))
      if (batch.length < BATCH) continue
      await Promise.all(batch)
      batch = []
    }
    await Promise.all(batch)
    try {
      await rmdir(path)
      return
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return
      if (errorCode(error) !== 'ENOTEMPTY' || round >= 3) throw error
    }
  }
}

function ignoreMissing(error: unknown): undefined {
  if (errorCode(error) !== 'ENOENT') throw error
}
