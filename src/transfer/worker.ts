import { parentPort, workerData } from 'node:worker_threads'
import { openBuffers } from './buffers.ts'
import { openCore } from './core.ts'
import { startHere } from './here.ts'
import { isPart } from './is-part.ts'
import { openLocalIo } from './local-io.ts'
import type { FromWorker, ToWorker, WorkerStart } from './messages.ts'
import { openPace } from './pace.ts'
import { literalsOf, packResults, unpackTransfers } from './packed.ts'
import { RECYCLED_FROM } from './recycled.ts'
import { openScope, type Scope } from './scope.ts'
import { KINDS, SUM, viewShared } from './shared.ts'
import { openSlots } from './slots.ts'
import type { Transfer, TransferResult } from './types.ts'
import { openWorkerStores } from './worker-stores.ts'

/** ms between two looks at a share that others move */
const POLL_MS = 2
/** Results that are worth a message at once, or bytes that the budget waits for; ms that fewer wait for more */
const BATCH = 64
const BATCH_BYTES = 1024 * 1024
const BATCH_MS = 8
/** ms between two signs of life at most, while there is work: an idle thread wakes nobody */
const BEAT_MS = 250

/**
 * A worker thread: the same core as the main thread's, over stores that it opens itself. Transfers come in, results
 * go out; whatever needs the SDK is asked of the main thread.
 */
function work(port: NonNullable<typeof parentPort>, start: WorkerStart): void {
  const shared = viewShared(start.memory)
  const member = shared.member(start.member)
  const { sums } = member
  const post = (message: FromWorker, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer)
  const add = (at: number, amount: number) => {
    sums[at] = (sums[at] ?? 0) + amount
  }

  let retries: string[] = []
  let slow = false
  let results: TransferResult[] = []
  let resultBytes = 0
  let spent: ArrayBuffer[] = []
  let looking = false
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    member.beatOnce()
    if (retries.length > 0) post({ kind: 'retry', reasons: retries, slowDown: slow })
    retries = []
    slow = false
    if (results.length === 0) return
    const packed = packResults(results)
    post({ kind: 'results', results: packed, spent }, [...packed.bodies.map(memoryOf), ...spent])
    results = []
    resultBytes = 0
    spent = []
  }
  /** A message costs as much as a small request: results wait a moment for others, while there is work. */
  const look = () => {
    looking = false
    const worth = results.length >= BATCH || resultBytes >= BATCH_BYTES
    if (worth || core.slots.active + core.slots.waiting === 0) flush()
    else timer ??= setTimeout(flush, BATCH_MS)
  }
  const flushSoon = () => {
    if (looking) return
    looking = true
    setImmediate(look)
  }

  let current: number | undefined
  const core = openCore({
    buffers: openBuffers(start.memoryShare),
    slots: openSlots({
      pollMs: POLL_MS,
      get limit() {
        return member.share
      },
      enter: () => shared.enter(member),
      leave: () => shared.leave(member),
      done(part, busy) {
        add(SUM.work, part)
        add(SUM.ended, 1)
        if (busy) member.crowded = true
      },
    }),
    pace: openPace(start.bwlimit, { free: shared.pace }),
    io: openLocalIo({
      stuckMs: start.stuckMs,
      sync: true,
      onSync(path) {
        member.disk = path === undefined ? undefined : current
      },
    }),
    counters: {
      request(kind) {
        const known = KINDS.indexOf(kind as (typeof KINDS)[number])
        if (known >= 0) add(SUM.firstKind + known, 1)
      },
      behind: () => add(SUM.behind, 1),
      retry(reason, slowDown) {
        add(SUM.retries, 1)
        if (slowDown) add(SUM.slowdowns, 1)
        slow ||= slowDown
        retries.push(reason)
        flushSoon()
      },
      bytesIn: (bytes) => add(SUM.bytesIn, bytes),
      bytesOut: (bytes) => add(SUM.bytesOut, bytes),
    },
    thread: {
      firstLookMs: start.firstLookMs,
      disk(transfer) {
        current = transfer
      },
    },
  })
  const stores = openWorkerStores(core, post)
  const scopes = new Map<number, { scope: Scope; open: number }>()
  let beats: NodeJS.Timeout | undefined
  const begin = (id: number, transfer: Transfer) => {
    beats ??= setInterval(member.beatOnce, Math.min(BEAT_MS, start.stuckMs / 10))
    const known = scopes.get(id) ?? { scope: openScope(id), open: 0 }
    if (known.open++ === 0) scopes.set(id, known)
    startHere(core, transfer, known.scope, (result) => {
      const goesOn = isPart(result)
      if (!goesOn && --known.open === 0) scopes.delete(id)
      if (scopes.size === 0) {
        clearInterval(beats)
        beats = undefined
      }
      results.push(result)
      const literals = goesOn ? undefined : literalsOf(transfer)
      if (literals !== undefined && literals.byteLength >= RECYCLED_FROM) spent.push(literals)
      if (result.ok) resultBytes += result.bytes
      flushSoon()
    })
  }

  port.on('message', (message: ToWorker) => {
    member.beatOnce()
    switch (message.kind) {
      case 'work':
        for (const { scope, transfer } of unpackTransfers(message.transfers)) begin(scope, transfer)
        return
      case 'abort':
        scopes.get(message.scope)?.scope.abort(new Error('aborted'))
        return
      case 'store':
        stores.reach(message.store, message.reach)
        return
      case 'answer':
        stores.answered(message.call, message.answer)
        return
      case 'idle':
        void core.io.closeIdle()
        return
      case 'close':
        stores.close()
        void core.io.closeIdle().then(() => port.close())
    }
  })
}

function memoryOf(bytes: Uint8Array): ArrayBuffer {
  return bytes.buffer as ArrayBuffer
}

if (parentPort !== null) work(parentPort, workerData as WorkerStart)
