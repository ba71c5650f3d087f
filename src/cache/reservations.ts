import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { forgetLock, isLocked } from '../fs/lock.ts'
import { lockFolder } from './locks.ts'
import { stateFile } from './paths.ts'
import { eachRecord, removeRecord } from './records.ts'
import type { Cache } from './types.ts'

/** `.longshore/reservations/<id>.json`: counts while the lock `reservation-<id>` is held, and not a moment longer. */
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
export const reservationSchema = z.strictObject({
  format: z.literal('longshore-reservation'),
  version: z.literal(1),
  id: z.string().regex(/^[0-9a-f]{16}$/),
  dataset: z.string().regex(/^[0-9a-f]{16}$/),
  bytes: count,
  files: count,
  /** Of these: on the disk already. Lags behind by a second or so. */
  written: z.strictObject({ bytes: count, files: count }),
})

export type ReservationRecord = z.infer<typeof reservationSchema>

export function reservationLock(id: string): string {
  return `reservation-${id}`
}

/** The promises that living processes have. */
export async function listReservations(cache: Cache): Promise<ReservationRecord[]> {
  const found: ReservationRecord[] = []
  for await (const record of eachRecord(cache, 'reservations', reservationSchema)) {
    if (await isLocked(lockFolder(cache), reservationLock(record.id))) found.push(record)
  }
  return found
}

/** Removes the promises of dead processes. Under the cache's lock. */
export async function dropDeadReservations(cache: Cache): Promise<void> {
  for await (const { id } of eachRecord(cache, 'reservations', reservationSchema)) {
    if (await isLocked(lockFolder(cache), reservationLock(id))) continue
    await removeRecord(cache, 'reservations', id)
    await forgetLock(lockFolder(cache), reservationLock(id))
  }
}

/** Replaces the record without a sync: it means nothing after a crash. */
export async function updateReservation(cache: Cache, record: ReservationRecord): Promise<void> {
  const temp = join(cache.state, 'reservations', `.${record.id}.tmp`)
  await writeFile(temp, JSON.stringify(record), { mode: cache.modes.file })
  await rename(temp, stateFile(cache, 'reservations', record.id))
}
