import { setFlagsFromString } from 'node:v8'

/**
 * V8 collects when a heap is up to four times what was alive at the last time: a pack of 100,000 objects grew by
 * 100 MiB over one of 10,000, with the same 20 MiB alive. Beside a trainer that memory is somebody else's: a fifth
 * more keeps a long run as small as a short one. Called when a run has turned out long: what is compiled after a
 * change of flags is not taken from node's own cache of code, 40 ms of a start. (By number, since V8 writes an error
 * to stderr for a flag it does not know: 11 to 14 are node 20 to 26, and false is any other.)
 */
export function limitHeaps(v8 = process.versions.v8): boolean {
  const major = Number.parseInt(v8, 10)
  if (!(major >= 11 && major <= 14)) return false
  setFlagsFromString('--heap-growing-percent=20')
  return true
}
