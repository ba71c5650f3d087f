import { LongshoreError } from '../errors.ts'
import { bufferSize } from './buffers.ts'
import { carry } from './carry.ts'
import type { Core } from './core.ts'
import { pieceOf } from './fetch.ts'
import type { RunOptions, Transfer, TransferDone, TransferResult } from './types.ts'

/** Transfers open at once beyond the requests in flight: enough that no slot waits for the plan. */
const AHEAD = 8

/** One transfer, with its bytes from the budget. Rejects with a LongshoreError, or with the signal's reason. */
export async function moveOne(
  core: Core,
  transfer: Transfer,
  signal: AbortSignal | undefined,
): Promise<TransferDone> {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  core.open.add(controller)
  try {
    checkLength(core, transfer)
    const held = await core.budget.acquire(bufferSize(transfer.length), controller.signal)
    try {
      return await carry(core, transfer, controller)
    } finally {
      core.budget.release(held)
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw asLongshoreError(error, transfer)
  } finally {
    core.open.delete(controller)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** Pulls transfers from the plan as slots and budget allow; settles when none is in flight any more. */
export async function runPlan(
  core: Core,
  plan: Iterable<Transfer> | AsyncIterable<Transfer>,
  options: RunOptions,
): Promise<void> {
  const group = new Set<AbortController>()
  const gate = new AbortController()
  let failure: { error: unknown } | undefined
  let wake: (() => void) | undefined
  const stop = (error: unknown) => {
    failure ??= { error }
    gate.abort(failure.error)
    for (const controller of group) controller.abort(failure.error)
    wake?.()
  }
  const onAbort = () => stop(options.signal?.reason)
  if (options.signal?.aborted) throw options.signal.reason
  options.signal?.addEventListener('abort', onAbort, { once: true })
  // The engine's own end (its signal, close) reaches a run that waits for its plan by this.
  core.open.add(gate)
  gate.signal.addEventListener('abort', () => stop(gate.signal.reason), { once: true })

  const start = async (transfer: Transfer, held: number) => {
    const controller = new AbortController()
    group.add(controller)
    let result: TransferResult
    try {
      result = await carry(core, transfer, controller)
    } catch (error) {
      result = { id: transfer.id, ok: false, error: asLongshoreError(error, transfer) }
      const piece = pieceOf(error)
      if (piece !== undefined) result.piece = piece
    } finally {
      core.budget.release(held)
      group.delete(controller)
    }
    if (failure === undefined) {
      try {
        options.onResult(result)
      } catch (error) {
        stop(error)
      }
    }
    wake?.()
  }
  const until = async (fits: () => boolean) => {
    while (!fits()) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  const source = iterate(plan)
  let pulling = false
  try {
    while (failure === undefined) {
      await until(() => failure !== undefined || group.size < core.climb.limit * 2 + AHEAD)
      if (failure !== undefined) break
      pulling = true
      const transfer = await orStopped(source.next(), gate.signal)
      pulling = false
      if (transfer === undefined) break
      if (isTooLong(core, transfer))
        options.onResult({ id: transfer.id, ok: false, error: tooLong(core, transfer) })
      else void start(transfer, await core.budget.acquire(bufferSize(transfer.length), gate.signal))
    }
  } catch (error) {
    stop(error)
  } finally {
    await until(() => group.size === 0)
    options.signal?.removeEventListener('abort', onAbort)
    core.open.delete(gate)
    // A plan that hangs in its own next() can't be ended in order; it must not keep this waiting.
    const ended = failure === undefined ? undefined : source.end()
    if (!pulling) await ended
    await core.io.closeIdle()
  }
  if (failure !== undefined) throw failure.error
}

interface Source {
  next(): Promise<Transfer | undefined> | Transfer | undefined
  end(): Promise<void>
}

function iterate(plan: Iterable<Transfer> | AsyncIterable<Transfer>): Source {
  const iterator = Symbol.asyncIterator in plan ? plan[Symbol.asyncIterator]() : plan[Symbol.iterator]()
  const value = (r: IteratorResult<Transfer>) => (r.done ? undefined : r.value)
  return {
    next() {
      const result = iterator.next()
      return result instanceof Promise ? result.then(value) : value(result as IteratorResult<Transfer>)
    },
    async end() {
      try {
        await iterator.return?.()
      } catch {
        // The failure that ended the run is the one to tell.
      }
    },
  }
}

/** Not Promise.race: a promise that lives as long as the run would remember every transfer that raced it. */
function orStopped<T>(promise: Promise<T> | T, signal: AbortSignal): Promise<T> | T {
  if (!(promise instanceof Promise)) return promise
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    const done = () => signal.removeEventListener('abort', onAbort)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(done)
  })
}

function checkLength(core: Core, transfer: Transfer): void {
  if (isTooLong(core, transfer)) throw tooLong(core, transfer)
}

function isTooLong(core: Core, transfer: Transfer): boolean {
  return transfer.length > core.budget.limit
}

function tooLong(core: Core, transfer: Transfer): LongshoreError {
  const message = `${transfer.length} bytes in one piece are more than the buffers may hold (${core.budget.limit})`
  return new LongshoreError('USAGE', message, { hint: 'raise --memory, or lower --part-size' })
}

function asLongshoreError(error: unknown, transfer: Transfer): LongshoreError {
  if (error instanceof LongshoreError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new LongshoreError('INTERNAL', `transfer ${transfer.id}: ${message}`, { cause: error })
}
