import type { Writable } from 'node:stream'
import type { CacheOptions } from './cache-options.ts'
import type { CommandContext } from './context.ts'

export interface CatOptions extends CacheOptions {
  source: string
  /** The CLI's stdout, or a test's sink. */
  output: Writable
}

export interface CatReport {
  bytes: number
  fetched: number
  check: string
}

export declare function cat(options: CatOptions, context: CommandContext): Promise<CatReport>
