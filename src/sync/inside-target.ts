import { posix } from 'node:path'

/** The target of a link at `path`, relative to its folder and normalized; undefined when it leads out of DIR. */
export function insideTarget(top: string, path: string, target: string): string | undefined {
  const folder = posix.join(top, posix.dirname(path))
  const full = posix.resolve(folder, target)
  const inside = full === top || full.startsWith(top === '/' ? top : `${top}/`)
  return inside ? posix.relative(folder, full) || '.' : undefined
}
