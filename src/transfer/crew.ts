import { LongshoreError } from '../errors.ts'
import type { Amount } from '../fs/amount.ts'
import { within } from '../within.ts'
import type { Climb } from './climb.ts'
import { failed } from './failed.ts'
import { type Hand, startHand, type Task } from './hand.ts'
import type { Settle } from './here.ts'
import { openHomes } from './homes.ts'
import { isPart } from './is-part.ts'
import type { FromWorker, HandedOver, Reach, SdkAnswer, SdkRequest } from './messages.ts'
import { unpackResults } from './packed.ts'
import type { Job, Scope } from './scope.ts'
import { divide, openShared, type Shared, SUM } from './shared.ts'
import type { Gate } from './slots.ts'
import { plainError } from './thread-errors.ts'
import type { StoreId, Transfer } from './types.ts'
import { openWatchdog, whyStill } from './watchdog.ts'
import { isOneMoreWorth, type Staff, weightOf, worthOf } from './worth.ts'

export interface CrewOptions extends Staff {
  file: URL
  bwlimit: number | undefined
  /** Bytes of all threads' buffers together. */
  memory: number
  /** ms */
  stuckMs: number
  firstLookMs?: number | undefined
  climb: Climb
  /** Requests that this thread makes or wants to make itself. */
  ownNeed(): number
  onRetry(reasons: readonly string[], slowDown: boolean): void
  /** A request by the SDK lane. `by`: the thread's number. */
  handOver(about: HandedOver & { by: number; signal: AbortSignal }, request: SdkRequest): Promise<SdkAnswer>
  /** What does a transfer when threads can't be had. */
  here(transfer: Transfer, scope: Scope, settle: Settle): void
}

/** The worker threads of an engine. */
export interface Crew {
  readonly shared: Shared
  /** Threads started so far. */
  readonly started: number
  /** Of these, have not ended. */
  readonly alive: number
  /** Starts the threads that so much work is worth ahead of it; of one that is not known yet, the first. */
  boot(expected?: Amount): void
  start(transfer: Transfer, scope: Scope, settle: Settle): void
  /** Makes a store known to all threads, those to come included; or how it is reached from now on. */
  reach(store: StoreId, reach: Reach): void
  /** No run needs the files that threads keep open. */
  idle(): void
  /** Slots of this thread. */
  readonly gate: Gate
  /** Of a counter of all threads. */
  sum(at: number): number
  close(): Promise<void>
}

/** Tickets fit into the shared memory's numbers; so many are never out at once. */
const MOST_TICKETS = 2 ** 30
/** Threads that may die before the rest is done without. */
const SPARE = 2
/** ms that a thread has to end in order, and to be ended */
const CLOSE_MS = 2000
/** ms between two looks at slots that threads have */
const POLL_MS = 2

export function openCrew(options: CrewOptions): Crew {
  const { climb, workers } = options
  const members = 1 + workers + SPARE
  const shared = openShared(members)
  shared.limit = climb.limit
  const own = shared.member(0)
  const known = new Map<StoreId, Reach>()
  const calls = new Map<string, AbortController>()
  const jobs = new WeakMap<Scope, Job>()
  const homeOf = openHomes<Hand>()
  const all: Hand[] = []
  let hands: Hand[] = []
  let lastTicket = 0
  let turn = 0
  let workSeen = 0
  let endedSeen = 0

  let dividedAt = 0
  const divideNow = () => {
    dividedAt = performance.now()
    shared.limit = climb.limit
    const shares = divide(climb.limit, [options.ownNeed(), ...hands.map((hand) => hand.requests)], turn)
    own.share = shares[0] ?? 0
    // Needs grow between two looks: what a thread has just been given is the first of many.
    const spare = climb.limit - shares.reduce((sum, share) => sum + share, 0)
    const each = Math.ceil(spare / Math.max(1, hands.length))
    for (const [i, hand] of hands.entries()) hand.member.share = (shares[i + 1] ?? 0) + each
  }
  const startOne = (): Hand | undefined => {
    const index = all.length + 1
    if (index >= members) return undefined
    const member = shared.member(index)
    const { bwlimit, stuckMs, firstLookMs } = options
    const memoryShare = options.memory / workers
    const limits = { memoryShare, bwlimit, stuckMs, firstLookMs }
    const start = { memory: shared.memory, member: index, members, ...limits }
    const { file } = options
    const hand = startHand({ file, start, member, index, onMessage, onDeath: buried })
    for (const [store, reach] of known) hand.post({ kind: 'store', store, reach })
    all.push(hand)
    hands.push(hand)
    return hand
  }
  const choose = (): Hand | undefined => {
    let best: Hand | undefined
    for (const hand of hands) if (best === undefined || hand.weight < best.weight) best = hand
    const more = best === undefined || isOneMoreWorth(hands.length, best, options)
    return (more ? startOne() : undefined) ?? best
  }
  const dispatch = (task: Task) => {
    const idlest = choose()
    if (idlest === undefined) {
      options.here(task.transfer, task.scope, task.settle)
      return
    }
    const hand = homeOf(task.transfer, task.weight, idlest)
    const idle = hand.requests === 0
    hand.give(task)
    if (idle) divideNow()
    watchdog.start()
  }
  const finish = (hand: Hand, task: Task) => {
    hand.remove(task)
    if (hand.tasks.size > 0) return
    divideNow()
    if (hands.every((other) => other.tasks.size === 0)) watchdog.stop()
  }

  function onMessage(hand: Hand, message: FromWorker): void {
    switch (message.kind) {
      case 'results':
        for (const result of unpackResults(message.results)) {
          const task = hand.tasks.get(result.id)
          if (task === undefined) continue
          if (!isPart(result)) finish(hand, task)
          result.id = task.transfer.id
          task.settle(result)
        }
        return
      case 'retry':
        options.onRetry(message.reasons, message.slowDown)
        if (message.slowDown) divideNow()
        return
      case 'handOver':
        void handedOver(hand, message)
        return
      case 'forget':
        calls.get(`${hand.index}/${message.call}`)?.abort(new Error('aborted'))
    }
  }
  const handedOver = async (hand: Hand, message: FromWorker & { kind: 'handOver' }) => {
    const controller = new AbortController()
    const name = `${hand.index}/${message.call}`
    calls.set(name, controller)
    let answer: SdkAnswer
    try {
      const about = { ...message.about, by: hand.index, signal: controller.signal }
      answer = await options.handOver(about, message.request)
    } catch (error) {
      answer = { ok: false, error: plainError(error) }
    }
    calls.delete(name)
    // Received by the SDK, not by a socket's own buffer: it may be given away.
    const memory = answer.ok && answer.kind === 'GET' ? [answer.body.buffer as ArrayBuffer] : []
    hand.post({ kind: 'answer', call: message.call, answer }, memory)
  }

  /** Takes a thread out. Returns what it had to do. */
  const takeOut = (hand: Hand): Task[] => {
    hand.gone = true
    hands = hands.filter((other) => other !== hand)
    shared.bury(hand.member)
    const tasks = [...hand.tasks.values()]
    for (const task of tasks) finish(hand, task)
    divideNow()
    return tasks
  }
  /** It died: what it had is done again from its start by another, since every place can be written twice. */
  function buried(hand: Hand, cause: unknown): void {
    for (const task of takeOut(hand)) {
      if (!task.again && !task.scope.signal.aborted) {
        task.again = true
        dispatch(task)
        continue
      }
      const error = new LongshoreError('INTERNAL', 'a worker thread died, and so did the one that went on', {
        cause,
        hint: 'run again; --workers 0 does without threads',
      })
      task.settle({ id: task.transfer.id, ok: false, error })
    }
  }
  /** What a scope's abort means to the threads. */
  const jobOf = (scope: Scope): Job => {
    const known = jobs.get(scope)
    if (known !== undefined) return known
    const made = {
      abort() {
        for (const hand of hands) hand.abort(scope.id)
      },
    }
    jobs.set(scope, made)
    return made
  }
  const watchdog = openWatchdog({
    stuckMs: options.stuckMs,
    hands: () => hands,
    onTick() {
      turn++
      const work = sum(SUM.work)
      const crowded = hands.map((hand) => hand.member).filter((member) => member.crowded)
      for (const member of crowded) member.crowded = false
      const ended = sum(SUM.ended)
      if (ended > endedSeen) climb.done(work - workSeen, crowded.length > 0, ended - endedSeen)
      workSeen = work
      endedSeen = ended
      divideNow()
    },
    onStill(hand) {
      const error = whyStill(hand, options.stuckMs)
      for (const task of takeOut(hand)) task.settle(failed(task.transfer, error))
      // Not waited for: what blocks in the kernel ends when the disk answers.
      hand.terminate()
    },
  })
  const sum = (at: number) => all.reduce((total, { member }) => total + (member.sums[at] ?? 0), 0)

  return {
    shared,
    get started() {
      return all.length
    },
    get alive() {
      return all.filter((hand) => hand.alive).length
    },
    boot(expected = { files: 0, bytes: 0 }) {
      while (all.length < worthOf(expected, options)) startOne()
    },
    start(transfer, scope, settle) {
      const requests = requestsOf(transfer)
      const weight = weightOf(transfer.length, requests)
      const ticket = lastTicket
      lastTicket = (lastTicket + 1) % MOST_TICKETS
      scope.jobs.add(jobOf(scope))
      dispatch({ ticket, transfer, scope, settle, weight, requests, again: false })
    },
    reach(store, reach) {
      known.set(store, reach)
      for (const hand of hands) hand.post({ kind: 'store', store, reach })
    },
    idle() {
      for (const hand of hands) hand.post({ kind: 'idle' })
    },
    gate: {
      pollMs: POLL_MS,
      get limit() {
        if (hands.every((hand) => hand.tasks.size === 0)) return climb.limit
        if (options.ownNeed() > own.share && performance.now() - dividedAt >= POLL_MS) divideNow()
        return own.share
      },
      enter: () => shared.enter(own),
      leave: () => shared.leave(own),
      done: (work, busy) => climb.done(work, busy),
    },
    sum,
    async close() {
      watchdog.stop()
      for (const hand of hands) hand.close()
      const ended = Promise.all(hands.map((hand) => hand.ended))
      if (await within(ended, CLOSE_MS)) return
      for (const hand of hands) hand.terminate()
      await within(ended, CLOSE_MS)
    },
  }
}

function requestsOf({ pieces, to }: Transfer): number {
  let count = to.kind === 'part' ? 1 : 0
  for (const piece of pieces) if (piece.kind === 'object') count++
  return Math.max(1, count)
}
