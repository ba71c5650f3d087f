import { randomBytes } from 'node:crypto'
import { isLongshoreError, type LongshoreError } from '../errors.ts'
import { makePath } from '../fs/make-path.ts'
import { LOG_FORMAT, LOG_VERSION, type LogRecord, type TakeoverRecord } from '../manifest/checkpoint.ts'
import type { CheckpointLog } from './log.ts'
import { appendRecord, throwIfSuperseded } from './log-append.ts'
import { readRecord } from './log-read.ts'
import { addNewer } from './log-state.ts'
import type { Conditional } from './probe.ts'
import { type KnownFiles, openKnown } from './upload-known.ts'

/** The log, held for writing. A newer writer's takeover ends it: its next record throws SUPERSEDED (exit 6). */
export interface LogWriter extends CheckpointLog {
  readonly nonce: string
  /** The epoch it holds. */
  readonly own: number
  readonly conditional: Conditional
  /** DIR/.longshore: upload journals and the list of known files. */
  readonly stateDir: string
  readonly known: KnownFiles
  /** Keys that uploads in progress rely on, and how many do: a retire leaves them alone. */
  readonly pins: Map<string, number>
  /** Pointer files whose mirror failed: tried again after the next commit. */
  readonly unmirrored: Map<string, Uint8Array>
  /** Records are written one after the other. */
  queue: Promise<unknown>
  /** Set once superseded: every later write throws it. */
  ended: LongshoreError | undefined
}

export interface TakeOverOptions {
  signal: AbortSignal
  /** From probeConditionalWrites. */
  conditional: Conditional
  /** DIR/.longshore; made when it is not there. The caller holds the lock on DIR. */
  stateDir: string
  /** For people: who holds the run. */
  host?: string | undefined
}

/**
 * Begins a new epoch: from now on this writer is the run's only one. Never waits: the newest attempt wins, and a
 * writer that still lives stops at its next record. `log` itself becomes the writer.
 */
export async function takeOver(log: CheckpointLog, options: TakeOverOptions): Promise<LogWriter> {
  await makePath(options.stateDir)
  const nonce = randomBytes(8).toString('hex')
  const record = await appendRecord<TakeoverRecord>(log, {
    signal: options.signal,
    conditional: options.conditional,
    epoch: undefined,
    // Each record met on the way may have raised the epoch.
    build: (seq) => ({
      format: LOG_FORMAT,
      version: LOG_VERSION,
      type: 'takeover',
      seq,
      epoch: log.epoch + 1,
      nonce,
      at: new Date().toISOString(),
      ...(options.host === undefined ? {} : { host: options.host.slice(0, 255) }),
    }),
    isMine: (found): found is TakeoverRecord => found.type === 'takeover' && found.nonce === nonce,
  })
  return Object.assign(log, {
    nonce,
    own: record.epoch,
    conditional: options.conditional,
    stateDir: options.stateDir,
    known: await openKnown(log, { stateDir: options.stateDir }),
    pins: new Map(),
    unmirrored: new Map(),
    queue: Promise.resolve(),
    ended: undefined,
  })
}

/** One GET: throws SUPERSEDED when another writer took over. Worth a call a minute, and before a long upload. */
export async function checkEpoch(writer: LogWriter, options: { signal: AbortSignal }): Promise<void> {
  await inTurn(writer, async () => {
    for (;;) {
      const found: LogRecord | undefined = await readRecord(writer, writer.seq + 1, options)
      if (found === undefined) return
      await addNewer(writer, found, options)
      throwIfSuperseded(writer, writer.own)
    }
  })
}

/** Runs `work` after every earlier one, and remembers the error that ends this writer for good. */
export function inTurn<T>(writer: LogWriter, work: () => Promise<T>): Promise<T> {
  const turn = writer.queue.then(async () => {
    if (writer.ended) throw writer.ended
    try {
      return await work()
    } catch (error) {
      if (isLongshoreError(error, 'SUPERSEDED')) writer.ended = error
      throw error
    }
  })
  writer.queue = turn.catch(() => undefined)
  return turn
}
