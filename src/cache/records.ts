import { constants } from 'node:fs'
import { type FileHandle, lstat, open, opendir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
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
  try {
    const text = await readSmall(path)
    return text === undefined ? undefined : schema.parse(JSON.parse(text))
  } catch (error) {
    if (!(error instanceof Garbled || error instanceof SyntaxError || error instanceof z.ZodError))
      throw error
    cache.warn('a garbled record in the cache is taken as absent', {
      path,
      hint: `${firstLine(error)}; remove the file if it was not made by a newer longshore`,
    })
    return undefined
  }
}

class Garbled extends Error {}

/**
 * Where others may write (leases of a shared cache) there may be anything: a pipe nobody writes to, a link to a
 * file without an end, a file that can't be read. None of them may hold up an evict.
 */
async function readSmall(path: string): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    const code = errorCode(error) ?? ''
    if (code === 'ENOENT') return undefined
    if (['ELOOP', 'EACCES', 'ENXIO'].includes(code)) throw new Garbled(`it can't be read: ${code}`)
    throw error
  }
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new Garbled('it is no file')
    if (stat.size > MAX_RECORD) throw new Garbled('it is too long')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(stat.size), 0, stat.size, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}

export async function writeRecord(cache: Cache, path: string, record: unknown): Promise<void> {
  const owner = await ownerFor(cache)
  await writeFileDurable(path, `${JSON.stringify(record)}\n`, { mode: cache.modes.file, owner })
}

/** A timer often evicts as root: what it writes still belongs to the cache's user, who has to read it. */
async function ownerFor(cache: Cache): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const { uid, gid } = await stat(cache.state)
  return uid === 0 ? undefined : { uid, gid }
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

/** ms; a record is written in a moment */
const STALE_MS = 3_600_000

/** Removes the temporary files of records whose writers were killed. */
export async function sweepRecords(cache: Cache): Promise<void> {
  for (const folder of ['datasets', 'usage', 'leases', 'pins', 'reservations'] as const) {
    for await (const { name } of await opendir(join(cache.state, folder))) {
      if (!/^\..+\.tmp$/.test(name)) continue
      const path = join(cache.state, folder, name)
      const found = await lstat(path).catch(() => undefined)
      // Another user's, in the leases of a shared cache, may have to stay.
      if (found && Date.now() - found.mtimeMs > STALE_MS) await unlink(path).catch(() => {})
    }
  }
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/\s+/g, ' ').slice(0, 200)
}
