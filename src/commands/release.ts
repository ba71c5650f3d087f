import type { CacheOptions } from './cache-options.ts'
import type { CommandContext } from './context.ts'

export interface ReleaseOptions extends CacheOptions {
  /** A lease's or pin's id as `status` shows it, or a lease owner, or a dataset's path. */
  id: string
}

export interface ReleaseReport {
  released: { id: string; kind: 'lease' | 'pin'; dataset: string }[]
}

export declare function release(options: ReleaseOptions, context: CommandContext): Promise<ReleaseReport>
