import picomatch from 'picomatch'

/**
 * Which keys (relative to SRC) are wanted. A pattern without '/' is matched with the last segment, so `*.tmp`
 * means everywhere; one that ends in '/' means everything below; dotfiles are matched like any other name.
 * Exclude wins; no include means everything.
 */
export function createFilter(globs: {
  include: readonly string[]
  exclude: readonly string[]
}): (key: string) => boolean {
  const included = matcher(globs.include)
  const excluded = matcher(globs.exclude)
  return (key) => (included === undefined || included(key)) && !excluded?.(key)
}

/** A key as a pattern that matches only itself, for the mend of an error. */
export function escapeGlob(key: string): string {
  return key.replaceAll(/[\\*?[\]{}()!+@|]/g, '\\$&')
}

function matcher(patterns: readonly string[]): ((key: string) => boolean) | undefined {
  if (patterns.length === 0) return undefined
  const matchers = patterns.map((pattern) => {
    const deep = pattern.endsWith('/') ? `${pattern}**` : pattern
    const relative = deep.replace(/^\.?\//, '')
    // 'basename' would match `**/a/**` by its last part too: only patterns without '/' ask for it.
    return picomatch(relative, { dot: true, basename: !relative.includes('/') })
  })
  return (key) => matchers.some((match) => match(key))
}
