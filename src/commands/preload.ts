import type { CacheOptions, SpaceLimit } from './cache-options.ts'
import type { CommandContext, Estimate } from './context.ts'

export interface PreloadOptions extends CacheOptions {
  sources: string[]
  /** R/W: an equal share of the dataset; 'auto' from the launcher. */
  node?: { rank: number; world: number } | 'auto' | undefined
  include: string[]
  exclude: string[]
  verify: 'checksum' | 'size' | 'none'
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  makeRoom: boolean
  /** ms */
  lease: number
  leaseOwner?: string | undefined
  pin: boolean
  link?: string | undefined
  offline: boolean
  readOnly: boolean
  /** Coverage only: exit 0 when all is there, 3 when not. */
  check: boolean
  metricsFile?: string | undefined
  /** `-- CMD`: runs with LONGSHORE_DATA set, under the lease. */
  command?: string[] | undefined
}

export interface PreloadedSource {
  source: string
  /** The immutable local folder. */
  path: string
  /** 'packed' or 'prefix' */
  kind: 'packed' | 'prefix'
  digest: string
  files: number
  bytes: number
  /** Of these: moved by this run, found in the cache, hard links to an older version. */
  fetched: { files: number; bytes: number }
  kept: { files: number; bytes: number }
  linked: { files: number; bytes: number }
  checks: Record<string, number>
  complete: boolean
  /** --check: the first missing files, and how many are missing. */
  missing?: { count: number; first: string[] } | undefined
}

export interface PreloadReport {
  sources: PreloadedSource[]
  requests: Record<string, number>
  retries: number
  seconds: number
  estimate?: Estimate | undefined
  /** 3: --check found gaps; else 0, or CMD's status */
  exit: number
}

export declare function preload(options: PreloadOptions, context: CommandContext): Promise<PreloadReport>
