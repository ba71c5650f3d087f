import { createHash } from 'node:crypto'
import {
  type CommitRecord,
  fileKey,
  isDataFile,
  type LogRecord,
  type RetireRecord,
  type TakeoverRecord,
} from '../manifest/checkpoint.ts'
import type { CheckpointLog, CommitHead, LogPlace } from './log.ts'
import { readRecords } from './log-read.ts'

/** Keys that `recent` holds: some 3 MB. */
const RECENT_KEYS = 20_000

export function emptyState(): Omit<CheckpointLog, keyof LogPlace> {
  return {
    seq: 0,
    epoch: 0,
    holder: undefined,
    commits: new Map(),
    names: new Map(),
    pointerPaths: new Set(),
    recent: new Map(),
    unswept: new Map(),
  }
}

/** What a reader that goes from the newest record to the oldest has to remember. */
export interface BackwardScan {
  retired: Set<number>
  /** What the newest retire record says: those up to this seq are done with. */
  swept: number | undefined
}

/** Takes in the record before the oldest one seen, so that a commit's fate is known when it is met. */
export function addOlder(log: CheckpointLog, record: LogRecord, scan: BackwardScan): void {
  log.epoch = Math.max(log.epoch, record.epoch)
  if (record.type === 'takeover') {
    if (record.epoch > (log.holder?.epoch ?? 0)) setHolder(log, record)
  } else if (record.type === 'retire') {
    scan.swept ??= record.swept
    if (record.seq > scan.swept)
      log.unswept.set(
        record.seq,
        record.commits.map((c) => c.seq),
      )
    for (const commit of record.commits) scan.retired.add(commit.seq)
  } else {
    const live = !scan.retired.has(record.seq)
    if (live) log.commits.set(record.seq, headOf(record))
    addNames(log, record, live ? 1 : 0)
    if (live && log.recent.size < RECENT_KEYS) addRecent(log, record, false)
  }
}

/** Takes in the record after the last one. A retire record costs reading the commits it retires. */
export async function addNewer(
  log: CheckpointLog,
  record: LogRecord,
  options: { signal: AbortSignal },
): Promise<void> {
  if (record.type === 'retire') await addRetire(log, record, options)
  log.seq = record.seq
  log.epoch = Math.max(log.epoch, record.epoch)
  if (record.type === 'takeover') setHolder(log, record)
  if (record.type === 'commit') {
    log.commits.set(record.seq, headOf(record))
    addNames(log, record, 1)
    addRecent(log, record, true)
  }
}

export function headOf(record: CommitRecord): CommitHead {
  const { seq, epoch, ordinal, nonce, name, step, layout, at } = record
  const bytes = record.files.reduce((sum, file) => sum + (isDataFile(file) ? file.size : 0), 0)
  const files = record.files.length + record.pointers.length
  return { seq, epoch, ordinal, nonce, name, step, layout, files, bytes, at }
}

/** Newest first: by epoch, then by the rank in which the writer completed them. */
export function compareNewest(a: CommitHead, b: CommitHead): number {
  return b.epoch - a.epoch || b.ordinal - a.ordinal || b.seq - a.seq
}

export function newestCommit(commits: Iterable<CommitHead>): CommitHead | undefined {
  let newest: CommitHead | undefined
  for (const head of commits) if (!newest || compareNewest(head, newest) < 0) newest = head
  return newest
}

/** 48 bits of a key's SHA-1. A collision only makes longshore keep or place an object more carefully than needed. */
export function fingerprint(key: string): number {
  return createHash('sha1').update(key).digest().readUIntBE(0, 6)
}

async function addRetire(
  log: CheckpointLog,
  record: RetireRecord,
  options: { signal: AbortSignal },
): Promise<void> {
  const seqs = record.commits.map((c) => c.seq).filter((seq) => log.commits.has(seq))
  // Read before anything changes: a failed read leaves the state as it was, and the record is met again.
  const victims = new Map<number, number>()
  for await (const commit of readRecords(log, seqs, options)) {
    if (commit.type !== 'commit') continue
    for (const key of keysOf(commit)) {
      const print = fingerprint(key)
      victims.set(print, (victims.get(print) ?? 0) + 1)
    }
  }
  for (const [print, times] of victims) log.names.set(print, Math.max(0, (log.names.get(print) ?? 0) - times))
  for (const seq of seqs) log.commits.delete(seq)
  log.unswept.set(
    record.seq,
    record.commits.map((c) => c.seq),
  )
}

/** Each once, however often the record names it. */
export function keysOf(record: CommitRecord): Set<string> {
  return new Set(record.files.filter(isDataFile).map(fileKey))
}

function addNames(log: CheckpointLog, record: CommitRecord, live: 0 | 1): void {
  for (const key of keysOf(record)) {
    const print = fingerprint(key)
    log.names.set(print, (log.names.get(print) ?? 0) + live)
  }
  for (const pointer of record.pointers) log.pointerPaths.add(pointer.path)
}

function addRecent(log: CheckpointLog, record: CommitRecord, trim: boolean): void {
  for (const file of record.files) {
    if (!isDataFile(file)) continue
    const key = fileKey(file)
    if (!trim && log.recent.has(key)) continue
    log.recent.delete(key)
    log.recent.set(key, { size: file.size, crc32: file.crc32, seq: record.seq })
  }
  if (!trim) return
  for (const key of log.recent.keys()) {
    if (log.recent.size <= RECENT_KEYS) break
    log.recent.delete(key)
  }
}

function setHolder(log: CheckpointLog, record: TakeoverRecord): void {
  log.holder = { epoch: record.epoch, nonce: record.nonce, host: record.host }
}
