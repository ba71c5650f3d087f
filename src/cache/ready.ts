import { createHash } from 'node:crypto'
import { opendir, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Amount } from '../fs/amount.ts'
import { removeDurable, syncDir } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { makeFolder } from '../fs/make-folder.ts'
import { type Ready, readySchema, WHOLE } from '../manifest/ready.ts'
import { readRecord, writeRecord } from './records.ts'
import type { Cache } from './types.ts'

/** File name of a selection: 'all', or 16 hex of its text. */
export function selectionId(selection: string): string {
  return selection === WHOLE ? WHOLE : createHash('sha256').update(selection).digest('hex').slice(0, 16)
}

/** READY of exactly this selection; undefined: not all of it is there. No lock needed; lease first, then ask. */
export async function readReady(cache: Cache, id: string, selection: string): Promise<Ready | undefined> {
  const ready = await readRecord(cache, readyFile(cache, id, selection), readySchema)
  return ready?.dataset === id && ready.selection === selection ? ready : undefined
}

/** Says that all of the selection is on the disk: everything must have been synced before. Under the dataset's lock. */
export async function writeReady(
  cache: Cache,
  id: string,
  selection: string,
  content: Amount & { checks: Record<string, number> },
): Promise<Ready> {
  const { files, bytes, checks } = content
  const ready: Ready = readySchema.parse({
    format: 'longshore-ready',
    version: 1,
    dataset: id,
    selection,
    files,
    bytes,
    checks,
    completed: Date.now(),
  })
  const path = readyFile(cache, id, selection)
  await makeFolder(cache, dirname(path))
  await syncDir(dirname(dirname(path)))
  await writeRecord(cache, path, ready)
  return ready
}

/** Durably not ready any more, one selection or all of them: before any file of the dataset goes. */
export async function withdrawReady(cache: Cache, id: string, selection?: string): Promise<void> {
  if (selection !== undefined) return removeDurable(readyFile(cache, id, selection))
  const folder = join(cache.state, 'ready', id)
  try {
    for await (const entry of await opendir(folder)) await removeDurable(join(folder, entry.name))
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

/** The folder of a dataset's READYs, once all are withdrawn for good. */
export async function dropReadyFolder(cache: Cache, id: string): Promise<void> {
  await rmdir(join(cache.state, 'ready', id)).catch((error) => {
    if (errorCode(error) !== 'ENOENT') throw error
  })
}

/** Every selection of a dataset that is READY. */
export async function listReady(cache: Cache, id: string): Promise<Ready[]> {
  const folder = join(cache.state, 'ready', id)
  const found: Ready[] = []
  try {
    for await (const { name } of await opendir(folder)) {
      if (!name.endsWith('.json')) continue
      const ready = await readRecord(cache, join(folder, name), readySchema)
      if (ready?.dataset === id) found.push(ready)
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
  return found
}

function readyFile(cache: Cache, id: string, selection: string): string {
  return join(cache.state, 'ready', id, `${selectionId(selection)}.json`)
}
