import type { Say } from './sidecar-say.ts'

/** ms for which a thing must have been waiting to be worth a word */
const LONG = 60_000

export interface Waiting {
  /** What looks like a checkpoint and lacks something, in this pass. */
  look(list: readonly { name: string; why: string }[], at: number): void
  tellAll(list: readonly { name: string; why: string }[]): void
}

/** A save takes its time; one that stays unfinished is said once, or a torn checkpoint would be skipped silently. */
export function createWaiting(say: Say): Waiting {
  let since = new Map<string, number>()
  const tell = ({ name, why }: { name: string; why: string }): void =>
    say.once(`${name} is not taken for a checkpoint: ${why}`, { path: name })
  return {
    look(list, at) {
      const now = new Map<string, number>()
      for (const each of list) {
        const key = `${each.name}\0${each.why}`
        const first = since.get(key) ?? at
        now.set(key, first)
        if (at - first > LONG) tell(each)
      }
      since = now
    },
    tellAll(list) {
      for (const each of list) tell(each)
    },
  }
}
