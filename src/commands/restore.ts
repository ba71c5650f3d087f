import type { CommandContext, Estimate } from './context.ts'

export interface RestoreOptions {
  source: string
  dir: string
  step: 'latest' | number | string
  ifExists: 'skip' | 'fail' | 'replace'
  allowNone: boolean
  /** Lists the committed checkpoints, newest first; restores nothing. */
  list: boolean
}

export interface RestoreReport {
  /** Absolute local path of the checkpoint; undefined with --allow-none and nothing to restore, and with --list. */
  path?: string | undefined
  checkpoint?: { name: string; step: number | null; epoch: number; ordinal: number; seq: number } | undefined
  files: number
  bytes: number
  fetched: { files: number; bytes: number }
  kept: { files: number; bytes: number }
  checks: Record<string, number>
  listed: {
    name: string
    step: number | null
    epoch: number
    ordinal: number
    seq: number
    files: number
    bytes: number
    committed: string
  }[]
  seconds: number
  estimate?: Estimate | undefined
  exit: 0 | 3
}

export declare function restore(options: RestoreOptions, context: CommandContext): Promise<RestoreReport>
