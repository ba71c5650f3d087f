import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Amount } from '../fs/amount.ts'
import { errorCode } from '../fs/error-code.ts'

const BATCH = 64

export interface MeasureOptions {
  /**
   * A file with n names counts 1/n of its size ('part': the other names are counted where they are) or wholly
   * ('whole': others count theirs as links to this one).
   */
  shared: 'part' | 'whole'
  /** A folder below it that is counted elsewhere. */
  without?: string | undefined
  signal?: AbortSignal | undefined
}

/** Sizes of all files below `path` by looking at each; nothing there is nothing. Memory does not grow with it. */
export async function measureTree(path: string, options: MeasureOptions): Promise<Amount> {
  const sum: Amount = { files: 0, bytes: 0 }
  await add(path, sum, options)
  sum.bytes = Math.ceil(sum.bytes)
  return sum
}

async function add(path: string, sum: Amount, options: MeasureOptions): Promise<void> {
  const dir = await opendir(path).catch((error) => {
    if (errorCode(error) !== 'ENOENT') throw error
  })
  if (dir === undefined) return
  let batch: Promise<void>[] = []
  for await (const entry of dir) {
    options.signal?.throwIfAborted()
    const child = join(path, entry.name)
    if (child === options.without) continue
    if (entry.isDirectory()) await add(child, sum, options)
    else batch.push(addFile(child, sum, options))
    if (batch.length < BATCH) continue
    await Promise.all(batch)
    batch = []
  }
  await Promise.all(batch)
}

async function addFile(path: string, sum: Amount, { shared }: MeasureOptions): Promise<void> {
  try {
    const stat = await lstat(path)
    sum.files += 1
    sum.bytes += shared === 'part' ? stat.size / stat.nlink : stat.size
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}
