import { opendir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { removeDurable, writeFileDurable } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { type StateFolder, stateFile } from './paths.ts'
import type { Cache } from './types.ts'

/** bytes; a longer state file is not one of ours */
const MAX_RECORD = 4 * 1024 * 1024

/**
 * A small JSON file of the state, checked against its schema. Absent: undefined. Garbled: named through
 * `cache.warn` and taken as absent; it is left where it is, and nothing is deleted on its account.
 */
export async function readRecord<T>(
  cache: Cache,
  path: string,
  schema: z.ZodType<T>,
): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    if (text.length > MAX_RECORD) throw new Error('too long')
    return schema.parse(JSON.parse(text))
  } catch (error) {
    cache.warn('a garbled record in the cache is taken as absent', {
      path,
      hint: `${firstLine(error)}; remove the file if it was not made by a newer longshore`,
    })
    return undefined
  }
}

export async function writeRecord(cache: Cache, path: string, record: unknown): Promise<void> {
  await writeFileDurable(path, `${JSON.stringify(record)}\n`, { mode: cache.modes.file })
}

/** Every readable record of a state folder, one at a time, in no order. */
export async function* eachRecord<T>(
  cache: Cache,
  folder: StateFolder,
  schema: z.ZodType<T>,
): AsyncGenerator<T> {
  for await (const id of recordIds(cache, folder)) {
    const record = await readRecord(cache, stateFile(cache, folder, id), schema)
    if (record !== undefined) yield record
  }
}

/** The ids a state folder has records for, readable or not. */
export async function* recordIds(cache: Cache, folder: StateFolder): AsyncGenerator<string> {
  let entries: Awaited<ReturnType<typeof opendir>>
  try {
    entries = await opendir(join(cache.state, folder))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return
    throw error
  }
  for await (const { name } of entries) {
    if (/^[0-9a-z][0-9a-z-]{0,47}\.json$/.test(name)) yield name.slice(0, -'.json'.length)
  }
}

export async function removeRecord(cache: Cache, folder: StateFolder, id: string): Promise<void> {
  await removeDurable(stateFile(cache, folder, id))
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/\s+/g, ' ').slice(0, 200)
}
