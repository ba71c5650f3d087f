import { createRequire } from 'node:module'

type Native = typeof import('@node-rs/crc32')

/** The native sums, loaded when first asked for: 5 to 10 ms of CPU in each thread. undefined: not for this platform. */
export function loadNative(): Native | undefined {
  try {
    return createRequire(import.meta.url)('@node-rs/crc32')
  } catch {
    return undefined
  }
}
