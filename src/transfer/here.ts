import { setMaxListeners } from 'node:events'
import { carry } from './carry.ts'
import type { Core } from './core.ts'
import { failed } from './failed.ts'
import { startQuick } from './quick.ts'
import type { Job, Scope } from './scope.ts'
import { carryStream } from './stream.ts'
import type { Transfer, TransferDone, TransferFailed, TransferResult } from './types.ts'

/**
 * Called once, never before the start has returned, and when nobody touches the transfer's buffers any more. Before
 * that, with each part of a stream.
 */
export type Settle = (result: TransferResult) => void

/** Begins a transfer in this thread; its bytes are the caller's from the budget. */
export function startHere(core: Core, transfer: Transfer, scope: Scope, settle: Settle): void {
  // What waits for its turn under the scope's signal is told.
  scope.jobs.add(core.sweep)
  if (transfer.stream)
    carryStream(core, transfer, scope.signal, { tell: settle }).then(settle, (error) =>
      settle(failed(transfer, error)),
    )
  else if (transfer.pieces.length > 1) startPieces(core, transfer, scope, settle)
  else if (!startQuick(core, transfer, scope.signal, settle)) {
    const under = { signal: scope.signal, abort: nothing }
    carry(core, transfer, under).then(settle, (error) => settle(failed(transfer, error)))
  }
}

/** Its only piece failed: there is nothing else to abort. */
function nothing(): void {}

/** When one of its pieces fails, the others are aborted, and nothing else: it has a signal of its own. */
function startPieces(core: Core, transfer: Transfer, scope: Scope, settle: Settle): void {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  const job: Job = {
    abort(reason) {
      controller.abort(reason)
      core.slots.sweep()
    },
  }
  if (scope.signal.aborted) controller.abort(scope.signal.reason)
  scope.jobs.add(job)
  const end = (result: TransferDone | TransferFailed) => {
    scope.jobs.delete(job)
    settle(result)
  }
  carry(core, transfer, { signal: controller.signal, abort: job.abort }).then(end, (error) =>
    end(failed(transfer, error)),
  )
}
