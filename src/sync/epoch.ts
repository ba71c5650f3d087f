import type { CheckpointLog } from './log.ts'
import type { Conditional } from './probe.ts'

/** The log, held for writing. What a newer writer's takeover ends: its next write throws SUPERSEDED (exit 6). */
export interface LogWriter extends CheckpointLog {
  readonly nonce: string
  readonly own: number
  readonly conditional: Conditional
  /** DIR/.longshore: upload journals and the list of known files. */
  readonly stateDir: string
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

/** Begins a new epoch: from now on this writer is the run's only one. Never waits: the newest attempt wins. */
export declare function takeOver(log: CheckpointLog, options: TakeOverOptions): Promise<LogWriter>

/** One GET: throws SUPERSEDED when another writer took over. Worth a call a minute, and before a long upload. */
export declare function checkEpoch(writer: LogWriter, options: { signal: AbortSignal }): Promise<void>
