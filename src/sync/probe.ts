import { createHash, randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from '../checksum/crc32.ts'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import { STATE_FOLDER } from '../manifest/checkpoint.ts'
import { type LogPlace, placeUrl } from './log.ts'

/** Which writes the store makes conditional: 'all', only PUT (Complete ignores it), or 'none'. */
export type Conditional = 'all' | 'put' | 'none'

/** ms: leftovers of a probe that was killed go at the next one. */
const STALE = 3600 * 1000

/**
 * Which open uploads are those of probes that were killed: this DIR's at once, anybody's after an hour. DIR is told by
 * its inode and birth, which it keeps from one container to the next, unlike a host's name, and a rival's is another.
 */
export async function openDeadProbes(
  place: LogPlace,
  options: { stateDir: string },
): Promise<(upload: { key: string; initiated: number }) => boolean> {
  const own = await ownKeys(place, options)
  const before = Date.now() - STALE
  return ({ key, initiated }) =>
    key.startsWith(own) || (initiated < before && key.startsWith(probeKeys(place)))
}

function probeKeys(place: LogPlace): string {
  return `${place.prefix}${STATE_FOLDER}/probe/`
}

async function ownKeys(place: LogPlace, { stateDir }: { stateDir: string }): Promise<string> {
  // DIR may come later than its sidecar; its state folder may be removed and made anew.
  const found = await stat(dirname(stateDir), { bigint: true }).catch(() => undefined)
  const dir = found === undefined ? 'none' : `${found.ino}\0${found.birthtimeNs}`
  const owner = createHash('sha1').update(`${stateDir}\0${dir}`).digest('hex').slice(0, 16)
  return `${probeKeys(place)}${owner}-`
}

/**
 * Asks the store, with throw-away keys under `.longshore/probe/`, whether it honours If-None-Match on PUT and on
 * CompleteMultipartUpload: stores that ignore the header say 200 and overwrite. Some ten small requests.
 * Throws CONDITIONAL_WRITES when PUT ignores it, unless `unsafeSingleWriter`.
 */
export async function probeConditionalWrites(
  place: LogPlace,
  options: { signal: AbortSignal; unsafeSingleWriter: boolean; stateDir: string },
): Promise<Conditional> {
  const { signal } = options
  await removeStale(place, signal)
  const key = (await ownKeys(place, options)) + randomBytes(8).toString('hex')
  try {
    if (!(await putHonours(place, key, signal))) {
      if (options.unsafeSingleWriter) return 'none'
      throw new LongshoreError(
        'CONDITIONAL_WRITES',
        `${placeUrl(place)} does not honour If-None-Match on PUT`,
        {
          path: placeUrl(place),
          hint: 'two writers could overwrite each other. Use a store with conditional writes, or --unsafe-single-writer when only one sidecar can ever run.',
        },
      )
    }
    return (await completeHonours(place, key, signal)) ? 'all' : 'put'
  } finally {
    // Not with the caller's signal alone: a cancelled start should leave nothing behind either.
    await place.store.remove([key], { signal: AbortSignal.timeout(10_000) }).catch(() => undefined)
  }
}

async function putHonours(place: LogPlace, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    const write = (text: string) =>
      place.engine.writeDocument(place.store, key, Buffer.from(text), { signal, condition: 'absent' })
    // 'exists' here can only be our own first answer, lost: just as good.
    await write('1')
    return (await write('2')).status === 'exists'
  } catch (error) {
    if (isLongshoreError(error, 'UNSUPPORTED')) return false
    throw error
  }
}

/** The key is taken: a Complete that honours the condition leaves it as it is. */
async function completeHonours(place: LogPlace, key: string, signal: AbortSignal): Promise<boolean> {
  const body = Buffer.from('3')
  const uploadId = await place.store.createUpload(key, { signal })
  try {
    const part = await place.store.putPart(
      { key, uploadId, partNumber: 1, offset: 0, body, crc32: crc32(body) },
      { signal },
    )
    const request = { key, uploadId, parts: [part], size: 1, condition: 'absent' } as const
    const outcome = await place.store.completeUpload(request, { signal })
    return outcome.status === 'exists'
  } catch (error) {
    if (isLongshoreError(error, 'UNSUPPORTED')) return false
    throw error
  } finally {
    await place.store
      .abortUpload(key, uploadId, { signal: AbortSignal.timeout(10_000) })
      .catch(() => undefined)
  }
}

async function removeStale(place: LogPlace, signal: AbortSignal): Promise<void> {
  const prefix = probeKeys(place)
  for await (const page of place.store.listPages({ prefix, signal })) {
    const stale = page.objects.filter((object) => object.modified < Date.now() - STALE).map((o) => o.key)
    if (stale.length > 0) await place.store.remove(stale, { signal })
  }
}
