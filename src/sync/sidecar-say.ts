import { isLongshoreError } from '../errors.ts'
import type { Progress } from '../progress.ts'

/** ms between two warnings of one kind: a store that is down for hours must be heard and not fill the log. */
const EVERY = 60_000

export interface Say {
  /** Once for each text. */
  once(message: string, about?: { path?: string; hint?: string }): void
  /** A failure that will be tried again: at most once a minute for each code and what it is about. */
  failure(what: string, error: unknown): void
}

export function createSay(progress: Progress): Say {
  const said = new Set<string>()
  const lastAt = new Map<string, number>()
  return {
    once(message, about) {
      if (said.has(message) || said.size >= 10_000) return
      said.add(message)
      progress.warn(message, about)
    },
    failure(what, error) {
      const code = codeOf(error)
      const key = `${what}\0${code}`
      const now = performance.now()
      if (now - (lastAt.get(key) ?? Number.NEGATIVE_INFINITY) < EVERY) return
      if (lastAt.size > 1_000) lastAt.clear()
      lastAt.set(key, now)
      const why = error instanceof Error ? error.message : String(error)
      const known = isLongshoreError(error) ? error : undefined
      progress.warn(`${what}: ${code}: ${why}`, {
        ...(known?.path === undefined ? {} : { path: known.path }),
        ...(known?.hint === undefined ? {} : { hint: known.hint }),
      })
    },
  }
}

export function codeOf(error: unknown): string {
  return isLongshoreError(error) ? error.code : 'INTERNAL'
}
