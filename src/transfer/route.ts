import type { ObjectStore } from '../s3/store.ts'
import type { WireTarget } from '../s3/wire/types.ts'
import { openTurns } from './turns.ts'

/** The two requests that the wire lane knows. */
export type WireKind = 'GET' | 'PART'

/** How a store is reached: what the wire lane needs to know of it now, and whether it is to be used. One per store. */
export interface Route {
  /** Requests of this kind go by wire, to that target; undefined: by the SDK lane. A promise the first time. */
  target(kind: WireKind): WireTarget | undefined | Promise<WireTarget | undefined>
  /** Counts a request that goes by the SDK lane from the start. */
  bypassed(kind: WireKind): void
  /**
   * A request that was handed over: `request` is it, by the SDK lane, and few of them run at once. `served`: requests
   * of this kind that the wire served so far in the thread `by`; the wire is left when many in a row were none of its.
   */
  handOver<T>(
    about: { kind: WireKind; reason: string; by: number; served: number; signal: AbortSignal | undefined },
    request: () => Promise<T>,
  ): Promise<T>
}

export interface RouteOptions {
  lane: 'wire' | 'sdk'
  /** Counts a request that goes by the SDK lane, by reason. */
  count(reason: string): void
  /** The target is another than before: from the next request on. */
  onTarget(target: WireTarget): void
  now?: () => number
}

/** Requests handed over that run at once: each costs fifteen times the CPU. */
const AT_ONCE = 8
/** As many in a row, each served well by the SDK: this server does not speak as the wire expects. */
const ROW = 20
/** ms that the wire is left alone then. One more request tries it again: another server may answer by now. */
const REST_MS = 10 * 60_000
/** ms before credentials expire that new ones are asked for */
const EARLY_MS = 5 * 60_000
/** ms between two questions for a target at least */
const ASK_MS = 1000
/** Refusals that other credentials, another clock, another region or no checksum headers would have spared. */
const MENDABLE = /\b(30[12378]|40[0137]|501|expired|credential|clock|region|redirect)/i

const UNKNOWN = 'no target'
/** ms after which a bucket that can't be reached by wire is asked once more */
const AGAIN_MS = 10_000

interface Breaker {
  row: number
  served: Map<number, number>
  restUntil: number
}

export function openRoute(store: ObjectStore, options: RouteOptions): Route {
  const { now = Date.now } = options
  const breakers: Record<WireKind, Breaker> = { GET: newBreaker(), PART: newBreaker() }
  const turns = openTurns(AT_ONCE)
  let known: WireTarget | { reason: string } | undefined
  let print = ''
  let asking: Promise<void> | undefined
  let asked = 0

  const ask = (): Promise<void> => {
    asking ??= (async () => {
      try {
        const found = (await store.wire?.()) ?? { reason: 'not S3' }
        const next = JSON.stringify(found)
        if (next !== print && 'host' in found && known !== undefined) options.onTarget(found)
        print = next
        known = found
      } catch {
        // No credentials, no such endpoint: the SDK lane meets the same and says it in full. Asked again later.
        known ??= { reason: UNKNOWN }
      } finally {
        asked = now()
        asking = undefined
      }
    })()
    return asking
  }
  const usable = (kind: WireKind): WireTarget | undefined => {
    if (known !== undefined && 'host' in known) return breakers[kind].restUntil > now() ? undefined : known
    // Credentials may come, and a region be learned: why it can't be by wire is not for ever.
    if (asking === undefined && now() - asked > AGAIN_MS) void ask()
    return undefined
  }
  /** undefined: nothing to wait for. */
  const renewal = (): Promise<void> | undefined => {
    if (known === undefined) return ask()
    const expires = 'host' in known ? known.credentials?.expiresAt : undefined
    if (expires === undefined || expires - now() > EARLY_MS) return undefined
    if (asking === undefined && now() - asked > ASK_MS) void ask()
    return expires <= now() ? asking : undefined
  }

  return {
    target(kind) {
      if (options.lane === 'sdk' || store.wire === undefined) return undefined
      const wait = renewal()
      return wait === undefined ? usable(kind) : wait.then(() => usable(kind))
    },
    bypassed(kind) {
      if (options.lane === 'sdk' || store.wire === undefined) return
      const reason = known === undefined || 'host' in known ? `the wire rests for ${kind}` : known.reason
      options.count(reason)
    },
    async handOver({ kind, reason, by, served, signal }, request) {
      options.count(reason)
      const breaker = breakers[kind]
      if (served > (breaker.served.get(by) ?? 0)) breaker.row = 0
      breaker.served.set(by, served)
      const result = await turns(signal, request)
      breaker.row++
      if (breaker.row >= ROW) {
        breaker.restUntil = now() + REST_MS
        breaker.row = ROW - 1
      }
      if (MENDABLE.test(reason) && now() - asked > ASK_MS) void ask()
      return result
    },
  }
}

function newBreaker(): Breaker {
  return { row: 0, served: new Map(), restUntil: 0 }
}
