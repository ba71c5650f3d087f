import { type Bounds, type Level, withinBounds } from './limits.ts'
import type { LinkedAmount } from './types.ts'

/** One dataset version, as the policy sees it. */
export interface Candidate {
  id: string
  /** bytes that count with it */
  bytes: number
  files: number
  linked: readonly LinkedAmount[]
  /** ms since the epoch */
  lastUsed: number
  /** Why it must stay: leased, pinned, being fetched. */
  held?: string | undefined
}

export interface PolicyOptions {
  now: number
  /** ms since the last use after which it goes without need; undefined: never */
  maxAge?: number | undefined
  /** ms since the last use within which it stays whatever is needed */
  grace: number
}

export interface Choice {
  victim: Candidate | undefined
  /** Older than the victim, or all there is: what would have gone, and why it stays. */
  held: { candidate: Candidate; why: string }[]
}

/**
 * The next one to go: first what is older than `maxAge`, then, while a bound is broken, the least recently used.
 * Whole versions only. Pure: the executor and the dry run ask the same question until there is no victim.
 */
export function chooseVictim(
  candidates: readonly Candidate[],
  level: Level,
  bounds: Bounds,
  options: PolicyOptions,
): Choice {
  const held: Choice['held'] = []
  const oldestFirst = candidates.toSorted((a, b) => a.lastUsed - b.lastUsed || (a.id < b.id ? -1 : 1))
  const over = !withinBounds(bounds, level)
  for (const candidate of oldestFirst) {
    const age = options.now - candidate.lastUsed
    const expired = options.maxAge !== undefined && age > options.maxAge
    if (!over && !expired) continue
    const why = candidate.held ?? (age < options.grace ? 'used a moment ago' : undefined)
    if (why === undefined) return { victim: candidate, held }
    held.push({ candidate, why })
  }
  return { victim: undefined, held }
}

/**
 * The candidates without this one, how that changes what is in use, and what it frees on the disk: files that newer versions link to stay on the disk,
 * and count with those from now on (with each of them, where several do: see src/cache/usage.ts).
 */
export function withoutVictim(
  candidates: readonly Candidate[],
  victim: Candidate,
): { candidates: Candidate[]; used: number; freed: number } {
  let adopted = 0
  const rest = candidates
    .filter((candidate) => candidate.id !== victim.id)
    .map((candidate) => {
      const moved = adoptLinks(candidate, victim.id)
      adopted += moved.bytes - candidate.bytes
      return moved
    })
  return { candidates: rest, used: adopted - victim.bytes, freed: Math.max(0, victim.bytes - adopted) }
}

/** Links to a version that is gone are the dataset's own files. */
export function adoptLinks<T extends { bytes: number; files: number; linked: readonly LinkedAmount[] }>(
  usage: T,
  gone: string,
): T & { linked: LinkedAmount[] } {
  let { bytes } = usage
  const linked: LinkedAmount[] = []
  for (const link of usage.linked) {
    if (link.from !== gone) linked.push(link)
    else bytes += link.bytes
  }
  return { ...usage, bytes, linked }
}
