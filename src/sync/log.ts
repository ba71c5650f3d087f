import type { ObjectStore } from '../s3/store.ts'
import type { Engine } from '../transfer/types.ts'

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
  /** Live commits (committed, not retired) by seq. */
  commits: Map<number, CommitHead>
}

/**
 * Reads a run's whole log. Memory holds a head for each live commit, and 8 bytes for each key ever named.
 * Throws BAD_MANIFEST for a damaged record or a gap in the numbers, naming it. An empty prefix is an empty log.
 */
export declare function openLog(
  place: LogPlace,
  options: { signal: AbortSignal; concurrency?: number },
): Promise<CheckpointLog>
