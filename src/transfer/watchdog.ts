import { LongshoreError } from '../errors.ts'
import { stuck } from '../fs/stuck.ts'
import type { Hand } from './hand.ts'

/** Looks at the threads from outside: one that spins or hangs fires no timer of its own. */
export interface Watchdog {
  /** While there is work. */
  start(): void
  stop(): void
}

/** ms between two looks at most */
const TICK_MS = 100
/** ms that a thread has for its start: it reads its files from a disk that may be slow */
const START_MS = 60_000

export function openWatchdog(options: {
  stuckMs: number
  hands(): readonly Hand[]
  onTick(): void
  /** It has work, and gave no sign of life for stuckMs. */
  onStill(hand: Hand): void
}): Watchdog {
  const tickMs = Math.max(5, Math.min(TICK_MS, options.stuckMs / 5))
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    for (const hand of options.hands()) {
      const { beat } = hand.member
      // Ticks are counted, not time: a process that was stopped for an hour finds its threads as it left them.
      hand.stillTicks = beat === hand.lastBeat && hand.tasks.size > 0 ? hand.stillTicks + 1 : 0
      hand.lastBeat = beat
      const patience = beat === 0 ? Math.max(START_MS, options.stuckMs) : options.stuckMs
      if (hand.stillTicks * tickMs > patience) options.onStill(hand)
    }
    options.onTick()
  }
  return {
    start() {
      timer ??= setInterval(look, tickMs)
    },
    stop() {
      clearInterval(timer)
      timer = undefined
    },
  }
}

/** What to say of a thread that gives no sign of life. */
export function whyStill({ member, tasks }: Hand, stuckMs: number): LongshoreError {
  const seconds = stuckMs / 1000
  const to = member.disk === undefined ? undefined : tasks.get(member.disk)?.transfer.to
  if (to?.kind !== 'whole' && to?.kind !== 'file') {
    return new LongshoreError('INTERNAL', `a worker thread has not answered for ${seconds} s`, {
      hint: 'run again; --workers 0 does without threads',
    })
  }
  return stuck(to.path, stuckMs)
}
