import type { LongshoreError } from '../errors.ts'

/** ms that a command has to end in order once a disk does not answer: what it cleans up may lie on that disk. */
const GRACE_MS = 10_000
/** ms for what was written to leave the process */
const FLUSH_MS = 2000

/**
 * A disk that does not answer holds a thread in the kernel, and node's exit waits for its threads: a command that met
 * one can't end in order, and may not even come to the end of its own cleanup.
 */
export interface DeadDisk {
  /** The first STUCK; undefined: every disk has answered so far. */
  readonly error: LongshoreError | undefined
  /** Rejects with it, where the command has not settled by itself a grace later. */
  overdue: Promise<never>
  /** A disk did not answer. */
  met(error: LongshoreError): void
  /** The command has settled. */
  settled(): void
}

export function watchDisk({ graceMs = GRACE_MS }: { graceMs?: number | undefined } = {}): DeadDisk {
  let first: LongshoreError | undefined
  let timer: NodeJS.Timeout | undefined
  let over = false
  let fail: (error: LongshoreError) => void
  const overdue = new Promise<never>((_, reject) => {
    fail = reject
  })
  return {
    get error() {
      return first
    },
    overdue,
    met(error) {
      first ??= error
      if (!over) timer ??= setTimeout(() => fail(error), graceMs)
    },
    settled() {
      over = true
      clearTimeout(timer)
    },
  }
}

/** Ends this process without its threads, once its output has left it, or can't. Does not return. */
export async function endHard(flushed: readonly Promise<void>[]): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_MS)
  })
  await Promise.race([Promise.all(flushed), late])
  clearTimeout(timer)
  process.kill(process.pid, 'SIGKILL')
  // Still here: process 1 of a container can't be sent that. It can crash.
  process.abort()
}
