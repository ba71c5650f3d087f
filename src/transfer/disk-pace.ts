/** How fast a disk takes what a thread writes to it itself, and so whether it should. */
export interface DiskPace {
  /** The pool's threads do better at the moment. */
  readonly slow: boolean
  /** One more was left to the pool. */
  skipped(): void
  /** One was written here, which took so many ms. */
  took(ms: number): void
}

/**
 * `slow`: ms on average from which the pool does better; `most`: what one counts for at the most, since a thread that
 * lost its core for a moment has no slow disk; `rest`: how many are the pool's then, until the disk is tried again.
 */
export function openDiskPace({ slow, most, rest }: { slow: number; most: number; rest: number }): DiskPace {
  let average = 0
  let left = 0
  return {
    get slow() {
      return left > 0
    },
    skipped() {
      left--
    },
    took(ms) {
      average += (Math.min(most, ms) - average) / 16
      if (average <= slow) return
      left = rest
      average = 0
    },
  }
}
