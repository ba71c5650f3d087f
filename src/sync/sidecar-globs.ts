import { matchGlobs } from '../fs/globs.ts'

/** Paths relative to DIR, by the patterns of `--marker` or `--also`. */
export function matchPaths(globs: readonly string[]): (path: string) => boolean {
  return matchGlobs(globs, '--marker or --also')
}
