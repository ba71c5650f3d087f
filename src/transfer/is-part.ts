import type { TransferResult } from './types.ts'

/** Of a stream that goes on: another result will come. */
export function isPart(result: TransferResult): boolean {
  return result.ok && result.part !== undefined
}
