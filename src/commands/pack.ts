import type { CommandContext, Estimate } from './context.ts'

export interface PackOptions {
  /** `s3://bucket/prefix/` or a local folder. */
  source: string
  destination: string
  format: 'tar'
  /** bytes, or 'auto': 256 MiB, smaller but not under 16 MiB to reach 128 shards */
  shardSize: number | 'auto'
  maxSamples?: number | undefined
  name: string
  /** 'dir': the first folder is the split */
  split?: 'dir' | undefined
  include: string[]
  exclude: string[]
  /** A file of keys relative to SRC, a line each; '-' is stdin. */
  filesFrom?: string | undefined
  groupBy: 'stem' | 'none'
  require: string[]
  onMissing: 'abort' | 'warn' | 'exclude'
  /** What the format can't hold: 'fail' (default) before any byte moves, 'skip' lists it and ends with 3. */
  onUnpackable?: 'fail' | 'skip' | undefined
  /** A seed; false: off; undefined: seed 0, off for val and test splits. */
  shuffle?: number | false | undefined
  onChanged: 'fail' | 'skip'
  /** This task's share, counted from 0; undefined: from the launcher's environment, else 0/1. */
  task?: { index: number; count: number } | undefined
}

export interface PackReport {
  destination: string
  /** sha256 of longshore.json, hex; undefined while other tasks have shards to do, and in a dry run */
  manifest?: string | undefined
  splits: { name: string; seed: number | null; shards: number; samples: number; bytes: number }[]
  objects: number
  bytes: number
  /** Shards done by this run, and found done. */
  packed: number
  kept: number
  /** Parts of packed shards that an earlier run had put up. */
  keptParts: number
  /** The first 1,000 objects that were left out, and how many there are; all of them are in `leftList` at DST. */
  left: { key: string; reason: string }[]
  leftCount: number
  leftList?: string | undefined
  checks: Record<string, number>
  requests: Record<string, number>
  retries: number
  seconds: number
  estimate?: Estimate | undefined
  /** 3 when something was skipped by request (--on-changed skip, --on-unpackable skip), else 0 */
  exit: 0 | 3
}

/**
 * Packs the objects below SRC into record shards at DST; the manifest comes last. Killed anywhere and run again it
 * ends with the same bytes. Throws LINT, SPLIT_NEEDED, DEST_INSIDE_SOURCE, DEST_HOLDS_OTHER before any byte moves.
 */
export async function pack(options: PackOptions, context: CommandContext): Promise<PackReport> {
  const { runPack } = await import('../pack/run.ts')
  return runPack(options, context)
}
