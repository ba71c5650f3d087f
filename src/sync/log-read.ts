import { LongshoreError } from '../errors.ts'
import {
  type CommitRecord,
  decodeRecord,
  type LogRecord,
  logKey,
  MAX_RECORD_BYTES,
} from '../manifest/checkpoint.ts'
import { type LogPlace, placeUrl } from './log.ts'

/** One record, or undefined when nobody wrote it yet. */
export async function readRecord(
  place: LogPlace,
  seq: number,
  options: { signal: AbortSignal },
): Promise<LogRecord | undefined> {
  const key = place.prefix + logKey(seq)
  const found = await place.engine.readDocument(place.store, key, {
    signal: options.signal,
    maxBytes: MAX_RECORD_BYTES,
  })
  return found && decodeRecord(found.bytes, { seq, url: `${place.store.url}/${key}` })
}

/** Records in the order asked for, some read ahead. A missing one is BAD_MANIFEST: the log has no gaps. */
export async function* readRecords(
  place: LogPlace,
  seqs: Iterable<number>,
  options: { signal: AbortSignal; concurrency?: number },
): AsyncGenerator<LogRecord> {
  const ahead: Promise<LogRecord>[] = []
  for (const seq of seqs) {
    const read = readExisting(place, seq, options)
    // A consumer that stops early leaves reads behind: their failures concern nobody.
    read.catch(() => undefined)
    ahead.push(read)
    const next = ahead.length > (options.concurrency ?? 16) ? ahead.shift() : undefined
    if (next) yield await next
  }
  for (const read of ahead) yield await read
}

/** The commit at `seq`, whole. */
export async function readCommit(
  place: LogPlace,
  seq: number,
  options: { signal: AbortSignal },
): Promise<CommitRecord> {
  const record = await readExisting(place, seq, options)
  if (record.type === 'commit') return record
  const url = placeUrl(place) + logKey(seq)
  throw new LongshoreError('BAD_MANIFEST', `${url} is no commit, but is named as one`, { path: url })
}

async function readExisting(
  place: LogPlace,
  seq: number,
  options: { signal: AbortSignal },
): Promise<LogRecord> {
  const record = await readRecord(place, seq, options)
  if (record) return record
  const url = placeUrl(place) + logKey(seq)
  throw new LongshoreError('BAD_MANIFEST', `${url} is missing: the log has a gap`, {
    path: url,
    hint: 'log records are never deleted by longshore; bring it back from a bucket version or a backup',
  })
}
