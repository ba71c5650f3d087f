import { localRootOf } from '../s3/local-store.ts'
import type { ObjectStore } from '../s3/store.ts'
import type { WireTarget } from '../s3/wire/types.ts'
import type { Core } from './core.ts'
import { type Crew, type CrewOptions, openCrew } from './crew.ts'
import { failed } from './failed.ts'
import { type Settle, startHere } from './here.ts'
import type { HandedOver, SdkAnswer, SdkRequest } from './messages.ts'
import type { Route, WireKind } from './route.ts'
import type { Job, Scope } from './scope.ts'
import { plainError } from './thread-errors.ts'
import type { StoreId, Transfer } from './types.ts'

interface Known {
  store: ObjectStore
  route: Route
  /** Threads open local folders themselves. */
  local: boolean
  /** What they were told of the bucket. */
  told: WireTarget | undefined
}

/** Which transfers the worker threads do, and what they need of the main thread for it. */
export interface Threads {
  readonly crew: Crew
  attach(store: ObjectStore, route: Route): void
  /** Tells the threads how it is reached, if that can be found out; what goes wrong is the first transfer's to meet. */
  prepare(store: StoreId): void
  /** Another way to the store than before. */
  update(store: StoreId, target: WireTarget): void
  start(transfer: Transfer, scope: Scope, settle: Settle): void
}

export interface ThreadsOptions extends Omit<CrewOptions, 'ownNeed' | 'handOver' | 'here'> {
  /** This thread's. */
  core(): Core
}

export function openThreads(options: ThreadsOptions): Threads {
  const known = new Map<StoreId, Known>()
  const here = (transfer: Transfer, scope: Scope, settle: Settle) =>
    startHere(options.core(), transfer, scope, settle)
  const crew = openCrew({
    ...options,
    ownNeed() {
      const { active, waiting } = options.core().slots
      return active + waiting
    },
    handOver,
    here,
  })

  /** Can threads do such requests to that store? */
  const reaches = (id: StoreId, kind: WireKind): boolean | Promise<boolean> => {
    const about = known.get(id)
    if (about === undefined) return false
    if (about.local) return true
    const target = about.route.target(kind)
    if (!(target instanceof Promise)) return tell(id, about, target)
    return target.then((found) => tell(id, about, found))
  }
  const tell = (id: StoreId, about: Known, target: WireTarget | undefined): boolean => {
    if (target !== undefined && about.told !== target) {
      about.told = target
      crew.reach(id, { target })
    }
    return target !== undefined
  }
  /** What can't be described to a thread, and every conditional write, is done here. */
  const suits = ({ pieces, to }: Transfer): boolean | Promise<boolean> => {
    if (to.kind === 'object') return false
    let waits: Promise<boolean>[] | undefined
    let last: StoreId | undefined
    const ask = (id: StoreId, kind: WireKind): boolean => {
      const answer = reaches(id, kind)
      if (!(answer instanceof Promise)) return answer
      waits ??= []
      waits.push(answer)
      return true
    }
    if (to.kind === 'part' && !ask(to.store, 'PART')) return false
    for (const piece of pieces) {
      if (piece.kind !== 'object' || piece.store === last) continue
      last = piece.store
      if (!ask(piece.store, 'GET')) return false
    }
    return waits === undefined ? true : Promise.all(waits).then((answers) => answers.every((yes) => yes))
  }
  const begin = (inThread: boolean, transfer: Transfer, scope: Scope, settle: Settle) => {
    if (inThread) crew.start(transfer, scope, settle)
    else here(transfer, scope, settle)
  }
  /** The first transfer to a store: how it is reached is being found out. */
  const beginLater = (answer: Promise<boolean>, transfer: Transfer, scope: Scope, settle: Settle) => {
    let over = false
    const job: Job = {
      abort(reason) {
        over = true
        queueMicrotask(() => settle(failed(transfer, reason)))
      },
    }
    scope.jobs.add(job)
    void answer.then((inThread) => {
      scope.jobs.delete(job)
      if (!over) begin(inThread, transfer, scope, settle)
    })
  }

  return {
    crew,
    attach(store, route) {
      const root = localRootOf(store)
      known.set(store.url, { store, route, local: root !== undefined, told: undefined })
      if (root !== undefined) crew.reach(store.url, { root })
    },
    prepare(id) {
      Promise.resolve(reaches(id, 'GET')).catch(() => {})
    },
    update(id, target) {
      const about = known.get(id)
      if (about?.told !== undefined) tell(id, about, target)
    },
    start(transfer, scope, settle) {
      if (scope.signal.aborted) {
        queueMicrotask(() => settle(failed(transfer, scope.signal.reason)))
        return
      }
      const answer = suits(transfer)
      if (answer instanceof Promise) beginLater(answer, transfer, scope, settle)
      else begin(answer, transfer, scope, settle)
    },
  }

  /** A request by the SDK lane, which only this thread has. */
  async function handOver(
    { store: id, kind, reason, served, by, signal }: HandedOver & { by: number; signal: AbortSignal },
    request: SdkRequest,
  ): Promise<SdkAnswer> {
    const about = known.get(id)
    if (about === undefined) return { ok: false, error: plainError(`${id} is not attached`) }
    const { store, route } = about
    const call = { signal, ...options.core().call }
    return route.handOver({ kind, reason, by, served, signal }, async (): Promise<SdkAnswer> => {
      if (request.kind === 'PART') {
        return { ok: true, kind: 'PART', part: await store.putPart(request.request, call) }
      }
      const body = Buffer.allocUnsafeSlow(request.length)
      return { ok: true, kind: 'GET', got: await store.getInto(request.request, body, call), body }
    })
  }
}
