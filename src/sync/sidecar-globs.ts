import picomatch from 'picomatch'

/** Paths relative to DIR: a pattern without a slash is about names wherever they are, one with a slash about paths. */
export function matchPaths(globs: readonly string[]): (path: string) => boolean {
  const matchers = globs.map((glob) => picomatch(glob, { dot: true, basename: !glob.includes('/') }))
  return (path) => matchers.some((matches) => matches(path))
}
