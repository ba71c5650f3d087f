import { LongshoreError } from '../errors.ts'
import { readLocal } from '../s3/local-read.ts'
import type { CallOptions, ObjectStore } from '../s3/store.ts'
import { openWire } from '../s3/wire/open-wire.ts'
import type { WireStore } from '../s3/wire/types.ts'
import type { Core, DataStore } from './core.ts'
import { openLanes, type SdkLane } from './lanes.ts'
import type { FromWorker, HandedOver, Reach, SdkAnswer, SdkRequest } from './messages.ts'
import { fromPlain } from './thread-errors.ts'
import { openTurns } from './turns.ts'
import type { StoreId } from './types.ts'

/** bytes */
const LARGE = 1024 * 1024

export interface WorkerStores {
  /** Makes a store known, or says how it is reached from now on. */
  reach(store: StoreId, reach: Reach): void
  /** Of the main thread, to a request that was handed over. */
  answered(call: number, answer: SdkAnswer): void
  close(): void
}

/** The stores of a worker thread: buckets by wire, with the main thread's SDK lane behind, and local folders. */
export function openWorkerStores(
  core: Core,
  post: (message: FromWorker, transfer?: ArrayBuffer[]) => void,
): WorkerStores {
  const wires = new Map<StoreId, WireStore>()
  const calls = new Map<number, (answer: SdkAnswer) => void>()
  let lastCall = 0
  // Their bytes are there twice, outside the budget.
  const [few, one] = [openTurns(4), openTurns(1)]
  const turns = (length: number) => (length > LARGE ? one : few)

  const ask = (
    about: HandedOver,
    request: SdkRequest,
    options: CallOptions | undefined,
  ): Promise<SdkAnswer> =>
    new Promise((resolve) => {
      const call = ++lastCall
      const { signal } = options ?? {}
      // The answer is awaited all the same: the request may be on its way.
      const onAbort = () => post({ kind: 'forget', call })
      calls.set(call, (answer) => {
        signal?.removeEventListener('abort', onAbort)
        resolve(answer)
      })
      const memory = request.kind === 'PART' ? [request.request.body.buffer as ArrayBuffer] : []
      post({ kind: 'handOver', call, about, request }, memory)
      signal?.addEventListener('abort', onAbort, { once: true })
    })

  const sdkLane = (about: HandedOver): SdkLane => ({
    async getInto(request, into, options) {
      const { length } = into
      const answer = await turns(length)(options?.signal, () =>
        ask(about, { kind: 'GET', request, length }, options),
      )
      if (!answer.ok) throw fromPlain(answer.error)
      if (answer.kind !== 'GET') throw wrongAnswer(about.store)
      into.set(answer.body)
      return answer.got
    },
    async putPart(request, options) {
      // Of its own: the message would copy the whole memory that a view looks into.
      const answer = await turns(request.body.length)(options?.signal, () =>
        ask(about, { kind: 'PART', request: { ...request, body: new Uint8Array(request.body) } }, options),
      )
      if (!answer.ok) throw fromPlain(answer.error)
      if (answer.kind !== 'PART') throw wrongAnswer(about.store)
      return answer.part
    },
  })

  return {
    reach(store, reach) {
      if ('root' in reach) {
        core.stores.set(store, localData(store, reach.root))
        return
      }
      const known = wires.get(store)
      if (known !== undefined) return known.update(reach.target)
      const wire = openWire(reach.target)
      wires.set(store, wire)
      const lanes = openLanes({
        url: store,
        wire: () => wire,
        bypassed() {},
        sdk: { ...sdkLane({ store, kind: 'GET', reason: 'not by wire', served: 0 }), put: notHere },
        after: (kind, reason, served) => sdkLane({ store, kind, reason, served }),
      })
      core.stores.set(store, lanes)
    },
    answered(call, answer) {
      const waiting = calls.get(call)
      calls.delete(call)
      waiting?.(answer)
    },
    close() {
      for (const wire of wires.values()) wire.close()
    },
  }
}

function localData(url: string, root: string): DataStore {
  return {
    url,
    async getInto(request, into, options) {
      options?.signal?.throwIfAborted()
      options?.onRequest?.('GET')
      return readLocal(root, request, into, options)
    },
    async putPart(request, options) {
      options?.signal?.throwIfAborted()
      options?.onRequest?.('PART')
      const { putLocalPart } = await import('../s3/local-upload.ts')
      return putLocalPart(root, request, options)
    },
    put: notHere,
  }
}

const notHere: ObjectStore['put'] = async () => {
  throw new LongshoreError('INTERNAL', 'whole objects are put by the main thread')
}

function wrongAnswer(url: string): LongshoreError {
  return new LongshoreError('INTERNAL', `${url}: the SDK lane gave another answer than was asked for`)
}
