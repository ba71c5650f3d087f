import { join } from 'node:path'
import { encodeRecord, type LogRecord, logKey } from '../../src/manifest/checkpoint.ts'
import { type LogWriter, takeOver } from '../../src/sync/epoch.ts'
import { openLog } from '../../src/sync/log.ts'
import type { Conditional } from '../../src/sync/probe.ts'
import { type MemoryBucket, memoryEngine, memoryStore, type Turn } from './memory-store.ts'

export const PREFIX = 'runs/r1/'
export const SIGNAL = new AbortController().signal

export function memoryPlace(bucket: MemoryBucket, turn?: Turn) {
  return { engine: memoryEngine(), store: memoryStore(bucket, turn), prefix: PREFIX }
}

/** A new epoch on a memory bucket, with its state below `dir`. */
export async function openWriter(
  bucket: MemoryBucket,
  dir: string,
  options: { turn?: Turn; conditional?: Conditional } = {},
): Promise<LogWriter> {
  const log = await openLog(memoryPlace(bucket, options.turn), { signal: SIGNAL })
  const { conditional = 'all' } = options
  return takeOver(log, { signal: SIGNAL, conditional, stateDir: join(dir, '.longshore'), host: 'test' })
}

export function seedRecord(bucket: MemoryBucket, record: LogRecord): void {
  const body = encodeRecord(record)
  bucket.objects.set(PREFIX + logKey(record.seq), {
    body,
    etag: `"${record.seq}"`,
    modified: 0,
    multipart: false,
  })
}

export function recordBase(seq: number, epoch: number) {
  return {
    format: 'longshore-log' as const,
    version: 1 as const,
    seq,
    epoch,
    nonce: epoch.toString(16).padStart(16, '0'),
    at: '2026-01-01T00:00:00.000Z',
  }
}
