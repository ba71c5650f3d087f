import type { Amount } from '../fs/amount.ts'

/** Each request counts as so many bytes more: what a small one costs is not its bytes. */
const REQUEST_WEIGHT = 64 * 1024
/** What each thread has to do before one more is worth its start. */
const WORTH = 4 * 1024 * 1024
/** Bytes that each thread has to move, and bytes a request, before a thread for large ranges is worth its start. */
const WORTH_LARGE = 32 * 1024 * 1024
const LARGE_REQUEST = 1024 * 1024

export interface Staff {
  /** Threads at most. */
  workers: number
  /** Of these, so many are started for large ranges only: many small requests keep the main thread's core busy too. */
  forLarge: number
}

/** What so many bytes and requests count for, as work to do and as work that was done. */
export function weightOf(bytes: number, requests: number): number {
  return bytes + requests * REQUEST_WEIGHT
}

/** Whether one more thread is worth its start beside `started`, of which the idlest has so much to do. */
export function isOneMoreWorth(
  started: number,
  { weight, requests }: { weight: number; requests: number },
  { workers, forLarge }: Staff,
): boolean {
  if (started >= workers) return false
  return started < workers - forLarge
    ? weight >= WORTH
    : isLarge({ bytes: weight - requests * REQUEST_WEIGHT, requests })
}

/** Threads that so much work will be worth, at least 1. */
export function worthOf({ files, bytes }: Amount, { workers, forLarge }: Staff): number {
  if (isLarge({ bytes, requests: files })) return Math.min(workers, Math.floor(bytes / WORTH_LARGE))
  const worth = Math.floor(weightOf(bytes, files) / WORTH)
  return Math.max(1, Math.min(workers - forLarge, worth))
}

function isLarge({ bytes, requests }: { bytes: number; requests: number }): boolean {
  return bytes >= WORTH_LARGE && bytes >= requests * LARGE_REQUEST
}
