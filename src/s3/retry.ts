import { setTimeout as wait } from 'node:timers/promises'

const BASE_MS = 150
const SLOW_BASE_MS = 500
const CAP_MS = 20_000
/** A server's Retry-After is honoured up to here; beyond, someone should read the error instead. */
const MAX_RETRY_AFTER_MS = 120_000

/**
 * ms to wait before attempt `attempt` + 1 (the first is 1): exponential with full jitter, so that a thousand
 * clients which were refused together do not come back together. Never less than the server's own Retry-After.
 */
export function backoffMs(
  attempt: number,
  about: { slowDown?: boolean; retryAfterMs?: number | undefined; random?: () => number } = {},
): number {
  const base = about.slowDown ? SLOW_BASE_MS : BASE_MS
  const window = Math.min(CAP_MS, base * 2 ** (attempt - 1))
  const jittered = window * (about.random ?? Math.random)()
  return Math.max(jittered, Math.min(about.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS))
}

/** Seconds or an HTTP date, as ms from `now`; undefined for anything else. */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,6}$/.test(header)) return Number(header) * 1000
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Waits, or rejects with the signal's reason. */
export async function pause(ms: number, signal?: AbortSignal | undefined): Promise<void> {
  try {
    await wait(ms, undefined, signal === undefined ? {} : { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}
