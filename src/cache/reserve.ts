import type { Amount, Cache, LinkedAmount, SpaceLimit } from './types.ts'

export interface ReserveRequest extends Amount {
  /** The dataset that will grow; its lock is held by the caller. `bytes`/`files`: what is still to be written, at most. */
  dataset: string
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  /** Evict what nobody holds, least recently used first, rather than refuse. */
  makeRoom: boolean
  signal?: AbortSignal | undefined
}

/** Space promised to one fetch. Ends with its process, whatever happens to that. */
export interface Reservation {
  /** Counts what is on the disk now, so that others don't wait for it twice. Cheap: call it once a file or range. */
  wrote(part: Amount): void
  /** The fetch is complete: the dataset has grown by `added`, and has `linked` hard links more. Releases. */
  commit(grown: { added: Amount; linked: readonly LinkedAmount[] }): Promise<void>
  /** Gives the rest back. After a failure the dataset is measured when somebody next counts. Idempotent. */
  release(): Promise<void>
}

/**
 * Checks the limits before the first byte and promises the space. NO_SPACE: the disk has not that much, in bytes
 * or inodes; OVER_LIMIT: --max-size or --min-free would be broken.
 */
export declare function reserve(cache: Cache, request: ReserveRequest): Promise<Reservation>
