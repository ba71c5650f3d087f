import { MAX_RECORD_BYTES, STATE_FOLDER, seqOfKey } from '../manifest/checkpoint.ts'
import { listObjects } from '../s3/list.ts'
import type { ObjectStore } from '../s3/store.ts'
import type { Engine } from '../transfer/types.ts'
import { readRecords } from './log-read.ts'
import { addOlder, type BackwardScan, emptyState } from './log-state.ts'

/** Where a run lives: a store and a prefix ('' or ending in '/'), reached through the engine. */
export interface LogPlace {
  engine: Engine
  store: ObjectStore
  prefix: string
}

/** A commit without its list of files: small enough to keep for every live commit of a long run. */
export interface CommitHead {
  seq: number
  epoch: number
  ordinal: number
  nonce: string
  name: string
  step: number | null
  layout: string
  files: number
  bytes: number
  /** ISO time by the writer's clock; for people. */
  at: string
}

/** The log as far as it was read. Grows by the writer's own records, and by what it finds in its way. */
export interface CheckpointLog extends LogPlace {
  /** The last record's number; 0: no record yet. */
  seq: number
  /** The highest epoch seen; 0: no writer yet. */
  epoch: number
  /** Who holds that epoch. */
  holder: { epoch: number; nonce: string; host: string | undefined } | undefined
  /** Live commits (committed, not retired) by seq. */
  commits: Map<number, CommitHead>
  /**
   * How many live commits name a key, by the key's fingerprint; 0: only retired ones did. A key in here is never
   * written again, and is named again only by what a live commit says of it: whoever retired it may still be
   * deleting, however late.
   */
  names: Map<number, number>
  /** Paths that mirrored pointers were or will be written to: no data goes there. */
  pointerPaths: Set<string>
  /** What the newest commits say of their keys. Bounded. */
  recent: Map<string, { size: number; crc32: string; seq: number }>
  /** Retire records whose objects may not all be deleted yet: their seq → the commits' seqs. */
  unswept: Map<number, number[]>
}

/**
 * Reads a run's whole log, newest record first. Memory holds a head for each live commit, and some 40 bytes for
 * each key ever named. Throws BAD_MANIFEST for a damaged record or a gap in the numbers, naming it. An empty
 * prefix is an empty log.
 */
export async function openLog(
  place: LogPlace,
  options: { signal: AbortSignal; concurrency?: number },
): Promise<CheckpointLog> {
  const log: CheckpointLog = { ...place, ...emptyState() }
  const last = await findLastSeq(place, options)
  const scan: BackwardScan = { retired: new Set(), swept: undefined }
  for await (const record of readRecords(place, countDown(last), options)) addOlder(log, record, scan)
  log.recent = new Map([...log.recent].reverse())
  log.seq = last
  return log
}

/** The highest record's number, from a listing; 0 when there is none. Keys that are no records are left alone. */
export async function findLastSeq(place: LogPlace, options: { signal: AbortSignal }): Promise<number> {
  const prefix = `${place.prefix}${STATE_FOLDER}/log/`
  let last = 0
  for await (const object of listObjects(place.store, { prefix, signal: options.signal })) {
    const seq = seqOfKey(object.key.slice(place.prefix.length))
    if (seq !== undefined && seq > last && object.size <= MAX_RECORD_BYTES) last = seq
  }
  return last
}

/** `s3://bucket/run/`, for messages. */
export function placeUrl(place: Pick<LogPlace, 'store' | 'prefix'>): string {
  return `${place.store.url}/${place.prefix}`
}

function* countDown(from: number): Generator<number> {
  for (let seq = from; seq > 0; seq--) yield seq
}
