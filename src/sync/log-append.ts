import { setTimeout as sleep } from 'node:timers/promises'
import { LongshoreError } from '../errors.ts'
import { encodeRecord, type LogRecord, logKey } from '../manifest/checkpoint.ts'
import { type CheckpointLog, placeUrl } from './log.ts'
import { readRecord } from './log-read.ts'
import { addNewer } from './log-state.ts'
import type { Conditional } from './probe.ts'

/** Looks at a taken key that can't be read yet (409: another conditional write is under way). */
const LOOKS = 10

export interface AppendOptions<R extends LogRecord> {
  signal: AbortSignal
  conditional: Conditional
  /** The record for a place in the log; called again when that place turns out to be taken. */
  build(seq: number): R
  /** Whether the record found in that place is this very one, whose answer was lost. */
  isMine(found: LogRecord): found is R
  /** The writer's epoch: a newer one in the way ends it. undefined: a takeover, which goes past anything. */
  epoch: number | undefined
}

/**
 * Writes a record as the log's next one. Whatever is found in its place is read and taken in: an own record is
 * done, a newer epoch is SUPERSEDED, anything else means the next place. A throw leaves the place undecided;
 * the next append meets it again, so an unknown outcome is never stepped over.
 */
export async function appendRecord<R extends LogRecord>(
  log: CheckpointLog,
  options: AppendOptions<R>,
): Promise<R> {
  for (let looks = 0; ; ) {
    const record = options.build(log.seq + 1)
    if (await write(log, record, options)) {
      await addNewer(log, record, options)
      return record
    }
    const found = await readRecord(log, record.seq, options)
    if (found === undefined) {
      if (++looks > LOOKS) throw unreadable(log, record.seq)
      await sleep(20 * 2 ** Math.min(looks, 6), undefined, { signal: options.signal })
      continue
    }
    looks = 0
    await addNewer(log, found, options)
    if (options.isMine(found)) return found
    throwIfSuperseded(log, options.epoch)
  }
}

/** SUPERSEDED when the log knows a newer epoch than `epoch`. */
export function throwIfSuperseded(log: CheckpointLog, epoch: number | undefined): void {
  if (epoch === undefined || log.epoch <= epoch) return
  const host = log.holder?.host === undefined ? '' : ` on ${log.holder.host}`
  const url = placeUrl(log)
  throw new LongshoreError('SUPERSEDED', `another writer took over ${url} (epoch ${log.epoch}${host})`, {
    path: url,
    hint: 'the newest attempt owns the run; this one committed nothing after that. Stop one of them, or use another prefix.',
  })
}

/** false: the place is taken. */
async function write(
  log: CheckpointLog,
  record: LogRecord,
  options: AppendOptions<LogRecord>,
): Promise<boolean> {
  const bytes = encodeRecord(record)
  const key = log.prefix + logKey(record.seq)
  const { signal } = options
  if (options.conditional === 'none') {
    // --unsafe-single-writer: looking first is all that such a store offers.
    if (await log.engine.readDocument(log.store, key, { signal })) return false
    await log.engine.writeDocument(log.store, key, bytes, { signal })
    return true
  }
  const outcome = await log.engine.writeDocument(log.store, key, bytes, { signal, condition: 'absent' })
  return outcome.status === 'written'
}

function unreadable(log: CheckpointLog, seq: number): LongshoreError {
  const url = placeUrl(log) + logKey(seq)
  return new LongshoreError('SERVER', `${url} is said to exist but can't be read`, {
    path: url,
    hint: 'the credentials need s3:GetObject beside s3:PutObject',
  })
}
