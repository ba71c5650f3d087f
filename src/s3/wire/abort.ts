/** What an abort ends. */
export interface Cancellable {
  cancel(reason: unknown): void
}

interface Group {
  members: Set<Cancellable>
  end(): void
}

/** Hundreds of requests share one signal: it gets one listener, since each costs it 2 µs and a walk over the others. */
const GROUPS = new WeakMap<AbortSignal, Group>()

/** Cancels `member` with the signal's reason when it aborts, until unwatch(). An aborted signal does so at once. */
export function watchAbort(signal: AbortSignal, member: Cancellable): void {
  if (signal.aborted) {
    member.cancel(signal.reason)
    return
  }
  let group = GROUPS.get(signal)
  if (group === undefined) {
    const members = new Set<Cancellable>()
    const end = () => {
      GROUPS.delete(signal)
      for (const one of members) one.cancel(signal.reason)
    }
    group = { members, end }
    GROUPS.set(signal, group)
    signal.addEventListener('abort', end, { once: true })
  }
  group.members.add(member)
}

export function unwatchAbort(signal: AbortSignal, member: Cancellable): void {
  const group = GROUPS.get(signal)
  if (group === undefined || !group.members.delete(member) || group.members.size > 0) return
  GROUPS.delete(signal)
  signal.removeEventListener('abort', group.end)
}
