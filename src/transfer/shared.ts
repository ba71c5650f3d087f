/**
 * Numbers that all threads of an engine see. Every field has one writer, except `total`, which all take from and
 * give to. The main thread is member 0.
 */
export interface Shared {
  readonly memory: SharedArrayBuffer
  /** For openPace. */
  readonly pace: BigInt64Array
  /** Requests that all threads together may have in flight. */
  limit: number
  /** Takes one of the limit; false: there is none left. */
  enter(member: Member): boolean
  leave(member: Member): void
  /** What a thread that is gone had in flight is nobody's any more. */
  bury(member: Member): void
  member(index: number): Member
}

export interface Member {
  /** Its part of the limit. */
  share: number
  /** In flight now. */
  readonly active: number
  /** Something waited for a slot since the main thread looked last. */
  crowded: boolean
  /** Changes as long as its thread runs. */
  readonly beat: number
  beatOnce(): void
  /** Ticket of the transfer whose disk operation blocks the thread now; undefined: none. */
  disk: number | undefined
  /** Counters. */
  readonly sums: Float64Array
}

/** Places in `sums`. */
export const SUM = {
  bytesIn: 0,
  bytesOut: 1,
  retries: 2,
  slowdowns: 3,
  work: 4,
  ended: 5,
  behind: 6,
  firstKind: 7,
} as const
/** Kinds of requests that threads make; their counters follow each other in `sums`. */
export const KINDS = ['GET', 'PART', 'PUT', 'HEAD'] as const

const HEAD_BYTES = 64
const MEMBER_BYTES = 128
const SUMS = 12
/** Int32 places in the head … */
const [LIMIT, TOTAL] = [0, 1]
/** … and in a member's part. */
const [SHARE, ACTIVE, CROWDED, BEAT, DISK] = [0, 1, 2, 3, 4]
const SUMS_AT = 32

export function openShared(members: number): Shared {
  return viewShared(new SharedArrayBuffer(HEAD_BYTES + members * MEMBER_BYTES))
}

/** The same numbers, in another thread. */
export function viewShared(memory: SharedArrayBuffer): Shared {
  const head = new Int32Array(memory, 0, 4)
  const actives = new WeakMap<Member, Int32Array>()
  const cellsOf = (member: Member) => actives.get(member) ?? head
  return {
    memory,
    pace: new BigInt64Array(memory, 16, 1),
    get limit() {
      return Atomics.load(head, LIMIT)
    },
    set limit(limit) {
      Atomics.store(head, LIMIT, limit)
    },
    enter(member) {
      if (Atomics.add(head, TOTAL, 1) < Atomics.load(head, LIMIT)) {
        Atomics.add(cellsOf(member), ACTIVE, 1)
        return true
      }
      Atomics.sub(head, TOTAL, 1)
      return false
    },
    leave(member) {
      Atomics.sub(cellsOf(member), ACTIVE, 1)
      Atomics.sub(head, TOTAL, 1)
    },
    bury(member) {
      Atomics.sub(head, TOTAL, Atomics.exchange(cellsOf(member), ACTIVE, 0))
    },
    member(index) {
      const at = HEAD_BYTES + index * MEMBER_BYTES
      const cells = new Int32Array(memory, at, SUMS_AT / 4)
      const member = viewMember(cells, new Float64Array(memory, at + SUMS_AT, SUMS))
      actives.set(member, cells)
      return member
    },
  }
}

function viewMember(cells: Int32Array, sums: Float64Array): Member {
  return {
    sums,
    get share() {
      return Atomics.load(cells, SHARE)
    },
    set share(share) {
      Atomics.store(cells, SHARE, share)
    },
    get active() {
      return Atomics.load(cells, ACTIVE)
    },
    get crowded() {
      return Atomics.load(cells, CROWDED) === 1
    },
    set crowded(crowded) {
      Atomics.store(cells, CROWDED, crowded ? 1 : 0)
    },
    get beat() {
      return Atomics.load(cells, BEAT)
    },
    beatOnce() {
      Atomics.add(cells, BEAT, 1)
    },
    // Kept one higher: memory begins as zeroes.
    get disk() {
      const disk = Atomics.load(cells, DISK)
      return disk === 0 ? undefined : disk - 1
    },
    set disk(ticket) {
      Atomics.store(cells, DISK, ticket === undefined ? 0 : ticket + 1)
    },
  }
}

/** Divides the limit: everyone who needs slots gets an equal part, and what one does not need goes to the others. */
export function divide(limit: number, needs: readonly number[], turn = 0): number[] {
  const shares = needs.map(() => 0)
  let left = limit
  while (left > 0) {
    const open = needs.flatMap((need, i) => (need > (shares[i] ?? 0) ? [i] : []))
    if (open.length === 0) break
    const each = Math.floor(left / open.length)
    // Fewer than there are members: they take turns, or the last one would wait for ever.
    const extra = each === 0 ? open.map((_, i) => open[(i + turn) % open.length] ?? 0).slice(0, left) : open
    for (const i of extra) {
      const more = Math.min(Math.max(1, each), (needs[i] ?? 0) - (shares[i] ?? 0))
      shares[i] = (shares[i] ?? 0) + more
      left -= more
    }
  }
  return shares
}
