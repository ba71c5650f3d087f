import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { writeFileDurable } from '../fs/durable.ts'
import { STATE_FOLDER } from '../manifest/checkpoint.ts'

const statusSchema = z.strictObject({
  version: z.literal(1),
  destination: z.string(),
  epoch: z.number().int().nonnegative(),
  /** By this run. */
  committed: z.number().int().nonnegative(),
  /** Complete, and not committed yet. */
  pending: z.number().int().nonnegative(),
  /** at: ms since 1970 */
  lastCommit: z.strictObject({ name: z.string(), at: z.number() }).nullable(),
})

/** DIR/.longshore/sync-status.json: what `longshore status` shows of a sidecar. */
export type SyncStatus = z.infer<typeof statusSchema>

export function syncStatusPath(dir: string): string {
  return join(dir, STATE_FOLDER, 'sync-status.json')
}

export async function writeSyncStatus(dir: string, status: Omit<SyncStatus, 'version'>): Promise<void> {
  await writeFileDurable(syncStatusPath(dir), `${JSON.stringify({ version: 1, ...status })}\n`)
}

/** undefined: no sidecar was ever here, or its status is damaged. */
export async function readSyncStatus(dir: string): Promise<SyncStatus | undefined> {
  try {
    return statusSchema.parse(JSON.parse(await readFile(syncStatusPath(dir), 'utf8')))
  } catch {
    return undefined
  }
}
