import { Refusal } from '../refusal.ts'
import type { Head } from './head.ts'
import { HandOver } from './types.ts'

/** Statuses that mean "later": the same request is asked again. */
export const LATER = new Set([408, 429, 500, 502, 503, 504])

/** Longest body of a refusal that is read so that the connection can be kept. */
const MAX_DRAIN_BYTES = 64 * 1024

/** What an answer of another status than the wanted one comes to: asked again later, or not the wire lane's. */
export function unwanted(head: Head): Refusal | HandOver {
  const { status, retryAfter } = head
  if (LATER.has(status)) return new Refusal(status, '', { retryAfter })
  return new HandOver(status >= 300 && status < 400 ? 'a redirect' : `answer ${status}`)
}

/** Bytes to read of a refusal's body; undefined: its connection is not kept. */
export function drainable(refused: Error, { length, chunked }: Head): number | undefined {
  if (!(refused instanceof Refusal) || chunked || length === undefined) return undefined
  return length <= MAX_DRAIN_BYTES ? length : undefined
}
