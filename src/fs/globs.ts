import picomatch from 'picomatch'
import { LongshoreError } from '../errors.ts'

/**
 * What every `--include`, `--exclude`, `--marker` and `--also` means; names are relative to SRC or DIR. A pattern
 * without a slash matches the last part at any depth (`*.jpg`); one with a slash matches the whole name, so a
 * leading slash means the top only (`/a.jpg`); a last one means all that is below (`meta/`). Dotfiles are names
 * like any other. USAGE, naming `option`, for what is no pattern.
 */
export function matchGlobs(globs: readonly string[], option: string): (name: string) => boolean {
  const matchers = globs.map((glob) => toMatcher(glob, option))
  return (name) => matchers.some((matches) => matches(name))
}

function toMatcher(glob: string, option: string): (name: string) => boolean {
  if (glob === '') throw new LongshoreError('USAGE', `${option}: an empty glob`)
  const below = glob.endsWith('/') ? `${glob}**` : glob
  try {
    // 'basename' would match `**/a/**` by its last part too: only patterns without '/' ask for it.
    return picomatch(below.replace(/^\.?\/+/, ''), { dot: true, basename: !glob.includes('/') })
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new LongshoreError('USAGE', `${option} ${JSON.stringify(glob.slice(0, 80))}: ${why}`, { cause })
  }
}
