import { LongshoreError } from '../errors.ts'
import { explain, type Subject } from './explain.ts'
import { type Failure, judge } from './failure.ts'
import { backoffMs, pause } from './retry.ts'
import type { CallOptions } from './store.ts'
import { HandOver } from './wire/types.ts'

/** While nothing ever answered, a wrong endpoint must say so in about 5 s, not after every retry. */
const UNREACHABLE_RETRIES = 3
/** Stale kept-alive connections that are replaced without waiting, per call. */
const FREE_RETRIES = 3
/** ms of a server's Retry-After that one call waits in all; then someone should read the error. */
const HELD_OFF_MS = 300_000
/** Failures in a row, over all calls, from which a call's first wait is no longer the shortest. */
const LONG_STREAK = 16

/** What the calls to one server know together. */
export interface ServerState {
  /** It has answered, whatever it was: the endpoint is right. */
  answered: boolean
  /** It has answered well: so are the credentials. */
  authorized: boolean
  /** Attempts that failed since the last one that did not. */
  streak: number
}

export interface Call extends CallOptions {
  /** 'GET', 'PUT' … for counts and messages. */
  kind: string
  /** Set to true when an attempt failed that may have been carried out all the same. */
  ambiguous?: boolean
  /** Told what the failure was that is about to be thrown, explained: some failures are answers to the caller. */
  onFinal?: ((failure: Failure, error: unknown) => void) | undefined
}

export interface AttemptOptions {
  call: Call
  /** What messages name. */
  subject: Subject
  settings: { retries: number }
  state: ServerState
  /** Every retry of the store, in words. */
  onRetry?: ((reason: string) => void) | undefined
  /** Learns what there is to learn from a failure; true when it makes sense to ask again at once. */
  learn?: ((failure: Failure) => Promise<boolean>) | undefined
  /** What is not transient is thrown as HandOver, for the SDK lane to do, learn from or explain. */
  handOver?: boolean | undefined
  /** The first attempt has begun before, and was counted then. */
  begun?: boolean | undefined
  /** Default: a timer. ms */
  wait?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined
}

export function newServerState(): ServerState {
  return { answered: false, authorized: false, streak: 0 }
}

/**
 * One request, asked until it is answered: again at once where a kept-alive connection was stale or something was
 * learned, again later (backoff with jitter, Retry-After) where the failure is transient. Rejects with the
 * LongshoreError that names the thing and the mend. A LongshoreError or HandOver of the attempt passes through.
 */
export async function withAttempts<T>(options: AttemptOptions, attempt: () => Promise<T>): Promise<T> {
  const { call, subject, settings, state } = options
  let retries = 0
  let free = 0
  let held = 0
  for (let counted = options.begun === true; ; counted = false) {
    call.signal?.throwIfAborted()
    if (!counted) call.onRequest?.(call.kind)
    try {
      const result = await attempt()
      answeredWell(state)
      return result
    } catch (error) {
      call.signal?.throwIfAborted()
      if (error instanceof HandOver || error instanceof LongshoreError) throw error
      const failure = judgeInContext(error, state)
      if (failure.ambiguous) call.ambiguous = true
      const again = (wait: number) => {
        call.onRetry?.({ reason: `${call.kind}: ${failure.reason}`, slowDown: failure.slowDown })
        options.onRetry?.(`${call.kind} ${subject.url}: ${failure.reason}`)
        return wait > 0 ? (options.wait ?? pause)(wait, call.signal) : undefined
      }
      if (failure.remedy === 'again' && isStale(error) && free++ < FREE_RETRIES) {
        await again(0)
        continue
      }
      if (options.learn !== undefined && (await options.learn(failure))) {
        await again(0)
        continue
      }
      const limit = failure.remedy === 'unreachable' ? UNREACHABLE_RETRIES : settings.retries
      const transient = failure.remedy === 'again' || failure.remedy === 'unreachable'
      if (transient && retries < Math.min(limit, settings.retries)) {
        retries++
        state.streak++
        const wait = backoffMs(stretched(retries, state), failure)
        if (failure.retryAfterMs !== undefined) held += wait
        if (held <= HELD_OFF_MS) {
          await again(wait)
          continue
        }
      }
      if (options.handOver && !transient) throw new HandOver(phrase(failure))
      call.onFinal?.(failure, error)
      throw explain(error, failure, subject)
    }
  }
}

/** An attempt brought what was asked for. */
export function answeredWell(state: ServerState): void {
  state.answered = true
  state.authorized = true
  state.streak = 0
}

/** For src/s3/attempts.ts: this failed on a connection that had been idle, so nothing was asked yet. */
export function markStale(error: Error): Error {
  return Object.assign(error, { reusedSocket: true })
}

function isStale(error: unknown): boolean {
  return typeof error === 'object' && error !== null && Reflect.get(error, 'reusedSocket') === true
}

/**
 * A budget for the server's sake: where hundreds of calls fail and none gets through, each new one begins with the
 * longer waits that the others have come to, up to the fourth's.
 */
function stretched(retries: number, state: ServerState): number {
  const steps = Math.floor(Math.log2(Math.max(1, state.streak / LONG_STREAK)))
  return Math.max(retries, Math.min(4, 1 + steps))
}

/** Without numbers and names of the moment: it is counted. */
function phrase({ status, code }: Failure): string {
  return status === undefined ? code : `${status} ${code}`
}

function judgeInContext(error: unknown, state: ServerState): Failure {
  const failure = judge(error)
  if (failure.status !== undefined) state.answered = true
  if (failure.remedy === 'unreachable' && state.answered) return { ...failure, remedy: 'again' }
  // The provider of credentials has worked before: its refusal now is a hiccup of its own service.
  if (failure.code === 'CredentialsProviderError' && state.authorized) return { ...failure, remedy: 'again' }
  return failure
}
