import { mkdtemp, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { LongshoreError } from '../errors.ts'
import type { CommandContext } from './context.ts'

export interface DemoOptions {
  /** Files to pack instead of made ones. */
  from?: string | undefined
  /** How many files to make. */
  files: number
  /** Leave the temporary folder. */
  keep: boolean
  /** Called as each step ends, for a report that grows. */
  onStep(step: DemoStep): void
}

export type StepName = 'files' | 'upload' | 'pack' | 'preload' | 'verify' | 'sync' | 'restore' | 'evict'

/** What a step did: counts, bytes, names. */
export type DemoFacts = Readonly<Record<string, number | string>>

export interface DemoStep {
  name: StepName
  facts: DemoFacts
  seconds: number
}

export interface DemoReport {
  steps: DemoStep[]
  /** GETs that reading each source object once takes, and GETs that preload made. */
  requests: { raw: number; packed: number }
  files: { found: number; packed: number; verified: number }
  /** What the format can't hold, and why; all of it, one `reason<TAB>path` a line, in `file` when it is long. */
  left: {
    count: number
    reasons: Record<string, number>
    first: { key: string; reason: string }[]
    file?: string
  }
  seconds: number
  /** The temporary folder, with `keep`. */
  folder?: string | undefined
  /** 3: something was left out because a shard can't hold it. */
  exit: 0 | 3
}

/** The whole job against a loopback S3 server, in a temporary folder that is removed whatever happens. */
export async function demo(options: DemoOptions, context: CommandContext): Promise<DemoReport> {
  if (context.dryRun) {
    throw new LongshoreError('USAGE', 'demo has no dry run', { hint: 'it only touches a temporary folder' })
  }
  const source = options.from === undefined ? undefined : await sourceFolder(options.from)
  const base = context.env.TMPDIR ?? tmpdir()
  const folder = await realpath(await mkdtemp(join(base, 'longshore-demo-')))
  try {
    const { runDemo } = await import('../demo/run.ts')
    return await runDemo(folder, source, options, context)
  } finally {
    if (!options.keep) await rm(folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

async function sourceFolder(from: string): Promise<string> {
  const path = resolve(from)
  const found = await stat(path).catch((cause: unknown) => {
    throw new LongshoreError('NOT_FOUND', `${from} can't be read`, {
      path,
      hint: 'give --from an existing folder',
      cause,
    })
  })
  if (!found.isDirectory()) {
    throw new LongshoreError('USAGE', `${from} is not a folder`, { path, hint: 'give --from a folder' })
  }
  return path
}
