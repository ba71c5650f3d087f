import { join } from 'node:path'
import type { CommandContext } from '../../src/commands/context.ts'
import type { RestoreOptions } from '../../src/commands/restore.ts'
import { SILENT } from '../../src/progress.ts'
import { commitCheckpoint } from '../../src/sync/commit.ts'
import { type LogWriter, takeOver } from '../../src/sync/epoch.ts'
import { type CommitHead, openLog } from '../../src/sync/log.ts'
import { probeConditionalWrites } from '../../src/sync/probe.ts'
import type { StagedCheckpoint } from '../../src/sync/types.ts'
import { uploadCheckpoint } from '../../src/sync/upload.ts'
import { openEngine } from '../../src/transfer/engine.ts'
import type { TestServer } from './devserver.ts'
import { FEW_RETRIES, LANE } from './lanes.ts'
import { SIGNAL } from './run-log.ts'

/** A writer on the dev server's bucket, through the real store and engine. Closed after the test. */
export async function openRealWriter(
  t: { after(fn: () => unknown): void },
  test: TestServer,
  options: { dir: string; prefix: string },
): Promise<LogWriter> {
  const store = await test.openStore()
  const engine = openEngine({ lane: LANE, concurrency: 8, memory: 64 * 1024 * 1024 })
  t.after(() => engine.close())
  const place = { engine, store, prefix: options.prefix }
  const stateDir = join(options.dir, '.longshore')
  const conditional = await probeConditionalWrites(place, {
    signal: SIGNAL,
    unsafeSingleWriter: false,
    stateDir,
  })
  const log = await openLog(place, { signal: SIGNAL })
  return takeOver(log, { signal: SIGNAL, conditional, stateDir })
}

export async function commitStaged(writer: LogWriter, staged: StagedCheckpoint): Promise<CommitHead> {
  const options = { signal: SIGNAL, multipartAbove: 6 * 1024 * 1024, partSize: 5 * 1024 * 1024 }
  return commitCheckpoint(writer, await uploadCheckpoint(writer, staged, options), options)
}

export function contextFor(test: TestServer, changed: Partial<CommandContext> = {}): CommandContext {
  return {
    signal: SIGNAL,
    progress: SILENT,
    s3: { ...test.settings, retries: FEW_RETRIES },
    engine: { lane: LANE, concurrency: 8, memory: 64 * 1024 * 1024 },
    dryRun: false,
    env: test.env,
    ...changed,
  }
}

export function restoreOptions(
  source: string,
  dir: string,
  changed: Partial<RestoreOptions> = {},
): RestoreOptions {
  return { source, dir, step: 'latest', ifExists: 'skip', allowNone: false, list: false, ...changed }
}
