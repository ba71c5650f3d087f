import { lstat, opendir, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Amount } from '../fs/amount.ts'
import { errorCode } from '../fs/error-code.ts'

/** Entries in work at once: enough to keep a disk busy, few enough to be nothing in memory. */
const BATCH = 32

/**
 * Removes a file or a whole folder and tells what that gave back: names with another hard link give nothing.
 * Several may delete one tree at once; what is gone already is no error. Where something may not be removed, the
 * rest goes all the same, and then that error is thrown. Memory does not grow with the tree.
 */
export async function deleteTree(
  path: string,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<Amount> {
  const work: Work = { freed: { files: 0, bytes: 0 }, refused: [], signal: options.signal }
  await deleteAny(path, work)
  if (work.refused.length > 0) throw work.refused[0]
  return work.freed
}

interface Work {
  freed: Amount
  /** The first refusal: what a job of another user put among the data must not keep the data. */
  refused: unknown[]
  signal: AbortSignal | undefined
}

async function deleteAny(path: string, work: Work): Promise<void> {
  // lstat: a symlink in place of a folder is removed, never followed.
  const stat = await lstat(path).catch((error) => ignoreMissing(error, work))
  if (stat === undefined) return
  if (stat.isDirectory()) return deleteFolder(path, work)
  try {
    await unlink(path)
  } catch (error) {
    return ignoreMissing(error, work)
  }
  if (stat.nlink > 1) return
  work.freed.files += 1
  work.freed.bytes += stat.size
}

async function deleteFolder(path: string, work: Work): Promise<void> {
  // Again when the folder is not empty in the end: some filesystems skip entries while others go.
  for (let round = 0; ; round++) {
    const dir = await opendir(path).catch((error) => ignoreMissing(error, work))
    if (dir === undefined) return
    let batch: Promise<void>[] = []
    for await (const entry of dir) {
      work.signal?.throwIfAborted()
      const child = join(path, entry.name)
      if (entry.isDirectory()) await deleteFolder(child, work)
      else batch.push(deleteAny(child, work))
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
      if (isRefusal(error)) return ignoreMissing(error, work)
      if (errorCode(error) !== 'ENOTEMPTY') throw error
      if (work.refused.length > 0) return
      if (round >= 3) throw error
    }
  }
}

function ignoreMissing(error: unknown, work: Work): undefined {
  if (errorCode(error) === 'ENOENT') return
  if (!isRefusal(error)) throw error
  if (work.refused.length === 0) work.refused.push(error)
}

function isRefusal(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(errorCode(error) ?? '')
}
