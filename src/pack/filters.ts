import { matchGlobs } from '../fs/globs.ts'

/** Which keys (relative to SRC) are wanted. Exclude wins; no include means everything. */
export function createFilter(globs: {
  include: readonly string[]
  exclude: readonly string[]
}): (key: string) => boolean {
  const included = globs.include.length === 0 ? () => true : matchGlobs(globs.include, '--include')
  const excluded = matchGlobs(globs.exclude, '--exclude')
  return (key) => included(key) && !excluded(key)
}

/** A key as a pattern that matches only itself, for the mend of an error. */
export function escapeGlob(key: string): string {
  return key.replaceAll(/[\\*?[\]{}()!+@|]/g, '\\$&')
}
