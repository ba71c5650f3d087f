import type { CommandContext, Estimate } from './context.ts'

export interface SyncOptions {
  dir: string
  destination: string
  once: boolean
  layout: 'auto' | 'tensorflow' | 'marker' | 'settle'
  marker?: string | undefined
  /** ms without a change; for the settle layout, and the rescan every layout wants */
  settle: number
  /** ms */
  scanInterval: number
  keepLast?: number | undefined
  keepEvery?: number | undefined
  /** Copied, not committed (logs). */
  also: string[]
  /** ms; undefined: 25 s after a signal, unlimited after CMD ended */
  drainTimeout?: number | undefined
  unsafeSingleWriter: boolean
  command?: string[] | undefined
}

export interface SyncReport {
  destination: string
  epoch: number
  committed: { name: string; step: number | null; seq: number; bytes: number; files: number }[]
  /** Complete on disk, not committed when it stopped. */
  pending: string[]
  retired: string[]
  bytes: number
  requests: Record<string, number>
  retries: number
  seconds: number
  estimate?: Estimate | undefined
  /** 0 all committed; 75 not; with CMD its status, 75 when CMD succeeded and the drain did not */
  exit: number
}

export declare function sync(options: SyncOptions, context: CommandContext): Promise<SyncReport>
