import { LongshoreError } from '../errors.ts'
import { pieceOf } from './fetch.ts'
import type { Transfer, TransferFailed } from './types.ts'

/** The result of a transfer that failed with this. */
export function failed(transfer: Transfer, error: unknown): TransferFailed {
  const piece = pieceOf(error)
  const result = { id: transfer.id, ok: false as const, error: asLongshoreError(error, transfer) }
  return piece === undefined ? result : { ...result, piece }
}

function asLongshoreError(error: unknown, transfer: Transfer): LongshoreError {
  if (error instanceof LongshoreError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new LongshoreError('INTERNAL', `transfer ${transfer.id}: ${message}`, { cause: error })
}
