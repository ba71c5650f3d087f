import type { Amount } from '../fs/amount.ts'
import type { FileEntry } from './entry.ts'

export interface FetchTotals {
  fetched: Amount
  kept: Amount
  linked: Amount
  /** Files by the check that their fetched bytes passed. */
  checks: Record<string, number>
}

export function noTotals(): FetchTotals {
  const none = (): Amount => ({ files: 0, bytes: 0 })
  return { fetched: none(), kept: none(), linked: none(), checks: {} }
}

/** Adds `part` to `totals`. */
export function addTotals(totals: FetchTotals, part: FetchTotals): void {
  for (const how of ['fetched', 'kept', 'linked'] as const) {
    totals[how].files += part[how].files
    totals[how].bytes += part[how].bytes
  }
  for (const [check, n] of Object.entries(part.checks)) totals.checks[check] = (totals.checks[check] ?? 0) + n
}

export function countFile(amount: Amount, { size }: FileEntry): void {
  amount.files++
  amount.bytes += size
}

export function countCheck({ checks }: FetchTotals, check: string): void {
  checks[check] = (checks[check] ?? 0) + 1
}
