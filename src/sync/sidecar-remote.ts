import { join, resolve } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { STATE_FOLDER } from '../manifest/checkpoint.ts'
import type { Progress } from '../progress.ts'
import { openStore } from '../s3/open.ts'
import type { S3Settings } from '../s3/settings.ts'
import { parseLocation } from '../s3/uri.ts'
import { openEngine } from '../transfer/engine.ts'
import type { EngineSettings } from '../transfer/types.ts'
import { type CheckpointLog, openLog, placeUrl } from './log.ts'
import { type Conditional, probeConditionalWrites } from './probe.ts'

export interface Remote {
  log: CheckpointLog
  /** `s3://bucket/run/` */
  url: string
  probe(signal: AbortSignal): Promise<Conditional>
  close(): Promise<void>
}

export interface RemoteOptions {
  /** absolute */
  dir: string
  destination: string
  unsafeSingleWriter: boolean
  s3: S3Settings
  engine: EngineSettings
  env: Readonly<Record<string, string | undefined>>
  progress: Progress
  signal: AbortSignal
}

/**
 * Opens DST and reads its log. What is wrong with the address, the bucket or the credentials is thrown here, before
 * a job starts under the belief that its checkpoints are safe.
 */
export async function openRemote(options: RemoteOptions): Promise<Remote> {
  const { signal, progress, env, dir } = options
  const location = parseLocation(options.destination, { cwd: process.cwd() })
  if (location.kind === 'local' && `${resolve(location.root)}/`.startsWith(`${dir}/`)) {
    throw new LongshoreError('DEST_INSIDE_SOURCE', `${location.root} is inside ${dir}`, {
      path: location.root,
      hint: 'commits would be taken for checkpoints: name a place outside',
    })
  }
  const onRetry = (reason: string): void => progress.retry(reason)
  const { store, prefix } = await openStore(location, options.s3, { env, onRetry })
  // No signal of the process here: uploads end by the drain, not by the first SIGTERM.
  const engine = openEngine({ ...options.engine, onRetry })
  const close = async (): Promise<void> => {
    await engine.close()
    await store.close()
  }
  try {
    const log = await openLog({ engine, store, prefix }, { signal })
    const { unsafeSingleWriter } = options
    const stateDir = join(dir, STATE_FOLDER)
    return {
      log,
      url: placeUrl(log),
      probe: (stop) => probeConditionalWrites(log, { signal: stop, unsafeSingleWriter, stateDir }),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
