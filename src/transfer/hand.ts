import { Worker } from 'node:worker_threads'
import type { Settle } from './here.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { packTransfers } from './packed.ts'
import { openRecycled } from './recycled.ts'
import type { Scope } from './scope.ts'
import type { Member } from './shared.ts'
import type { Transfer } from './types.ts'

/** A transfer that was given to a thread. */
export interface Task {
  ticket: number
  scope: Scope
  transfer: Transfer
  settle: Settle
  /** What it weighs when threads are compared. */
  weight: number
  /** Requests it will make. */
  requests: number
  /** The thread that had it died: it is not tried a third time. */
  again: boolean
}

/** One worker thread, seen from the main thread. */
export interface Hand {
  readonly member: Member
  readonly index: number
  readonly tasks: Map<number, Task>
  /** Of its tasks. */
  weight: number
  requests: number
  /** It takes nothing more, and what it says is not heard. */
  gone: boolean
  /** For the watchdog. */
  lastBeat: number
  stillTicks: number
  give(task: Task): void
  remove(task: Task): void
  /** Whatever it has of that scope. */
  abort(scope: number): void
  post(message: ToWorker, memory?: ArrayBuffer[]): void
  /** Its thread has not ended. */
  alive: boolean
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>
  /** It ends when it has closed what it holds. */
  close(): void
  terminate(): void
}

export interface HandOptions {
  file: URL
  start: WorkerStart
  member: Member
  index: number
  onMessage(hand: Hand, message: FromWorker): void
  onDeath(hand: Hand, cause: unknown): void
}

/** Starts a thread. It holds the process only while it has work. */
export function startHand(options: HandOptions): Hand {
  const worker = new Worker(options.file, { workerData: options.start, name: 'longshore' })
  worker.unref()
  let cause: unknown
  let queued: Task[] = []
  let aborted: number[] = []
  let flushing = false
  const recycled = openRecycled()
  const flush = () => {
    flushing = false
    if (hand.gone) return
    const work = queued
    const scopes = aborted
    queued = []
    aborted = []
    if (work.length > 0) {
      const transfers = packTransfers(work, recycled.take)
      const memory = [transfers.numbers, ...transfers.literals].map(({ buffer }) => buffer as ArrayBuffer)
      worker.postMessage({ kind: 'work', transfers } satisfies ToWorker, memory)
    }
    for (const scope of scopes) worker.postMessage({ kind: 'abort', scope } satisfies ToWorker)
  }
  /** What one turn of the event loop gives is one message. */
  const flushSoon = () => {
    if (flushing) return
    flushing = true
    setImmediate(flush)
  }
  const hand: Hand = {
    member: options.member,
    index: options.index,
    tasks: new Map(),
    weight: 0,
    requests: 0,
    gone: false,
    alive: true,
    lastBeat: -1,
    stillTicks: 0,
    give(task) {
      if (hand.tasks.size === 0) worker.ref()
      hand.tasks.set(task.ticket, task)
      hand.weight += task.weight
      hand.requests += task.requests
      queued.push(task)
      flushSoon()
    },
    remove(task) {
      if (!hand.tasks.delete(task.ticket)) return
      hand.weight -= task.weight
      hand.requests -= task.requests
      if (hand.tasks.size === 0) worker.unref()
    },
    abort(scope) {
      aborted.push(scope)
      flushSoon()
    },
    post(message, memory = []) {
      if (!hand.gone) worker.postMessage(message, memory)
    },
    ended: new Promise((resolve) => {
      worker.once('exit', () => resolve())
    }),
    close() {
      hand.post({ kind: 'close' })
      hand.gone = true
    },
    terminate() {
      void worker.terminate()
    },
  }
  worker.on('message', (message: FromWorker) => {
    if (hand.gone) return
    if (message.kind === 'results') for (const memory of message.spent) recycled.give(memory)
    options.onMessage(hand, message)
  })
  worker.on('error', (error) => {
    cause = error
  })
  worker.on('exit', (code) => {
    hand.alive = false
    if (!hand.gone) options.onDeath(hand, cause ?? new Error(`it ended with status ${code}`))
  })
  return hand
}
