import type { CacheOptions } from './cache-options.ts'
import type { CommandContext } from './context.ts'

export interface StatusOptions extends CacheOptions {
  /** Folders with a running or finished `sync`: its lag is shown. */
  syncDirs: string[]
}

export interface StatusReport {
  cacheDir: string
  /** bytes in use by longshore, and free on the filesystem */
  used: number
  free: number
  datasets: {
    id: string
    source: string
    path: string
    bytes: number
    files: number
    state: 'ready' | 'partial' | 'fetching'
    lastUsed: number
    leases: { id: string; owner: string; until: number; live: boolean }[]
    pins: string[]
  }[]
  sync: {
    dir: string
    destination: string
    running: boolean
    epoch: number
    committed: number
    pending: number
    lastCommit?: { name: string; at: number } | undefined
  }[]
}

export declare function status(options: StatusOptions, context: CommandContext): Promise<StatusReport>
