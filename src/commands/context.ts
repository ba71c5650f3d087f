import type { Progress } from '../progress.ts'
import type { S3Settings } from '../s3/settings.ts'
import type { EngineSettings } from '../transfer/types.ts'

/** What every command is given beside its own options. Commands return a report and print nothing. */
export interface CommandContext {
  /** Aborted by SIGINT/SIGTERM with a LongshoreError INTERRUPTED/TERMINATED as its reason. */
  signal: AbortSignal
  progress: Progress
  s3: S3Settings
  engine: EngineSettings
  /** bytes; undefined: the command's own choice. */
  partSize?: number | undefined
  dryRun: boolean
  /** The process's environment, already read once: commands never touch process.env. */
  env: Readonly<Record<string, string | undefined>>
}

/** What a dry run would do. Money only where the config gives prices. */
export interface Estimate {
  list: number
  get: number
  put: number
  bytes: number
  /** bytes of local disk needed */
  disk: number
}
