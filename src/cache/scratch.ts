import type { Cache } from './types.ts'

/** A folder for temporary files that belong to no dataset yet (listings that are being sorted). */
export interface Scratch {
  path: string
  /** Removes it with all that is in it. Idempotent. */
  close(): Promise<void>
}

/** Made under staging/; what dead processes left there is removed by the next scratch or evict. */
export declare function openScratch(cache: Cache): Promise<Scratch>
