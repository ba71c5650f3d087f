import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Machine } from './machine.ts'
import type { RowResult, Scheme } from './types.ts'

/** A row as it was last measured: rows may be run one by one, the results page shows all of them. */
export interface Saved {
  /** ISO 8601 */
  at: string
  machine: Machine
  runs: number
  scheme: Scheme
  row: RowResult
}

/** Git-ignored. */
const HOME = resolve(import.meta.dirname, '../.bench')

/** `place` names the server: results of different ones are never shown as one. */
export async function save(place: string, saved: Saved): Promise<void> {
  const dir = join(HOME, place)
  await mkdir(dir, { recursive: true })
  await writeFile(
    join(dir, `row-${saved.row.id}-${saved.scheme}.json`),
    `${JSON.stringify(saved, null, 1)}\n`,
  )
}

/** In the order of the rows, https first. */
export async function loadSaved(place: string): Promise<Saved[]> {
  const dir = join(HOME, place)
  const found: Saved[] = []
  for (const name of await readdir(dir)) {
    if (name.startsWith('row-')) found.push(JSON.parse(await readFile(join(dir, name), 'utf8')) as Saved)
  }
  return found.sort((a, b) => a.row.id - b.row.id || b.scheme.localeCompare(a.scheme))
}

export function homeOf(place: string): string {
  return join(HOME, place)
}
