import { setFlagsFromString } from 'node:v8'

/**
 * V8 collects when a heap is up to four times what was alive at the last time: a pack of 100,000 objects grew by
 * 100 MiB over one of 10,000, with the same 20 MiB alive. Beside a trainer that memory is somebody else's. A fifth
 * more, and a young generation of at most 3 × 4 MiB a thread, keep a long run as small as a short one. (By number:
 * V8 writes an error to stderr for a flag it does not know; 11 to 14 are node 20 to 26, and false is any other.)
 */
export function limitHeaps(v8 = process.versions.v8): boolean {
  const major = Number.parseInt(v8, 10)
  if (!(major >= 11 && major <= 14)) return false
  setFlagsFromString('--heap-growing-percent=20')
  setFlagsFromString('--max-semi-space-size=4')
  return true
}
