import { LongshoreError } from '../errors.ts'
import type { Budget } from './budget.ts'
import { bufferSize } from './buffers.ts'
import type { Settle } from './here.ts'
import { isPart } from './is-part.ts'
import { iteratePlan } from './plan.ts'
import { followSignal, type Job, openScope, type Scope } from './scope.ts'
import { WINDOW_BYTES } from './through.ts'
import type { Plan, RunOptions, Transfer, TransferDone, TransferResult } from './types.ts'

/** Transfers open at once beyond the requests in flight: enough that no slot waits for the plan, or for results. */
const AHEAD = 256

/** What runs and single moves share. */
export interface Mover {
  budget: Budget
  /** Requests that may be in flight. */
  readonly limit: number
  start(transfer: Transfer, scope: Scope, settle: Settle): void
  /** Threads: what comes back in memory is there twice for a moment, as it was received and as it is handed out. */
  copies: boolean
  /** What is open, to be aborted at the engine's end. */
  open: Set<Job>
  /** A transfer did not come off, for whatever reason. */
  failed(error: LongshoreError): void
  /** A run is over: files that were kept open for its next piece are closed. */
  closeIdle(): Promise<void>
}

/** One transfer, with its bytes from the budget. Rejects with a LongshoreError, or with the signal's reason. */
export async function moveOne(
  mover: Mover,
  transfer: Transfer,
  signal: AbortSignal | undefined,
): Promise<TransferDone> {
  if (isTooLong(mover, transfer)) throw tooLong(mover, transfer)
  const scope = openScope()
  const unfollow = followSignal(scope, signal)
  mover.open.add(scope)
  try {
    const held = await mover.budget.acquire(heldBytes(mover, transfer), scope.signal)
    let result: TransferResult
    try {
      scope.signal.throwIfAborted()
      result = await new Promise((resolve) => mover.start(transfer, scope, resolve))
    } finally {
      mover.budget.release(held)
    }
    if (result.ok) return result
    mover.failed(result.error)
    throw result.error
  } catch (error) {
    scope.signal.throwIfAborted()
    throw error
  } finally {
    mover.open.delete(scope)
    unfollow()
  }
}

/** Pulls transfers from the plan as slots and budget allow; settles when none is in flight any more. */
export async function runPlan(mover: Mover, plan: Plan, options: RunOptions): Promise<void> {
  options.signal?.throwIfAborted()
  const scope = openScope()
  const source = iteratePlan(plan)
  let running = 0
  let failure: { error: unknown } | undefined
  let wake: (() => void) | undefined
  const stop = (error: unknown) => {
    if (failure === undefined) {
      failure = { error }
      source.stop(error)
      scope.abort(error)
    }
    wake?.()
  }
  // The engine's own end (its signal, close) reaches a run that waits for its plan by this.
  const own: Job = { abort: stop }
  mover.open.add(own)
  const unfollow = followSignal(own, options.signal)

  const start = (transfer: Transfer, held: number) => {
    running++
    mover.start(transfer, scope, (result) => {
      if (isPart(result)) return tell(result)
      running--
      mover.budget.release(held)
      if (!result.ok) mover.failed(result.error)
      tell(result)
      wake?.()
    })
  }
  const tell = (result: TransferResult) => {
    if (failure !== undefined) return
    try {
      options.onResult(result)
    } catch (error) {
      stop(error)
    }
  }
  const until = async (fits: () => boolean) => {
    while (!fits()) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  try {
    while (failure === undefined) {
      if (running >= mover.limit * 2 + AHEAD)
        await until(() => failure !== undefined || running < mover.limit * 2 + AHEAD)
      if (failure !== undefined) break
      const next = source.next()
      const transfer = next instanceof Promise ? await next : next
      if (transfer === undefined) break
      if (isTooLong(mover, transfer)) {
        tell({ id: transfer.id, ok: false, error: tooLong(mover, transfer) })
        continue
      }
      const wanted = heldBytes(mover, transfer)
      start(transfer, mover.budget.take(wanted) ?? (await mover.budget.acquire(wanted, scope.signal)))
    }
  } catch (error) {
    stop(error)
  } finally {
    await until(() => running === 0)
    unfollow()
    mover.open.delete(own)
    if (failure !== undefined) await source.end()
    await mover.closeIdle()
  }
  if (failure !== undefined) throw failure.error
}

function heldBytes(mover: Mover, { length, to, stream }: Transfer): number {
  if (stream) return Math.min(WINDOW_BYTES, mover.budget.limit)
  return (mover.copies && to.kind === 'memory' ? 2 : 1) * bufferSize(length)
}

function isTooLong(mover: Mover, transfer: Transfer): boolean {
  return !transfer.stream && transfer.length > mover.budget.limit
}

function tooLong(mover: Mover, transfer: Transfer): LongshoreError {
  const message = `${transfer.length} bytes in one piece are more than the buffers may hold (${mover.budget.limit})`
  return new LongshoreError('USAGE', message, { hint: 'raise --memory, or lower --part-size' })
}
