import type { Transfer } from './types.ts'

/** Files whose thread is remembered: far more than are written at a time. */
const MOST = 256
/** Transfers of the same size by which a file's thread may be ahead of another before the file moves. */
const AHEAD = 2

/** What a thread has to do, as its weight. */
export interface Loaded {
  readonly weight: number
  readonly gone: boolean
}

/**
 * Which thread writes to which file. A file has one lock for its writers: two threads that write to it at the same
 * time wait for each other on their cores, and its bytes cost twice the CPU.
 */
export function openHomes<H extends Loaded>(): (transfer: Transfer, weight: number, idlest: H) => H {
  const homes = new Map<string, H>()
  return ({ to }, weight, idlest) => {
    if (to.kind !== 'file') return idlest
    const home = homes.get(to.path)
    if (home !== undefined && !home.gone && home.weight <= idlest.weight + AHEAD * weight) return home
    homes.delete(to.path)
    homes.set(to.path, idlest)
    for (const path of homes.keys()) {
      if (homes.size <= MOST) break
      homes.delete(path)
    }
    return idlest
  }
}
