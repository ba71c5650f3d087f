/** How much of everything the rows move. */
export interface Sizes {
  /** Objects of the plain prefix of rows 1, 2 and 8. */
  small: number
  /** Objects of the job start, row 3. */
  start: number
  /** Bytes of each; mean of a spread from a half to one and a half. */
  smallBytes: number
  /** Files of rows 4 and 5. */
  large: number
  largeBytes: number
  /** Objects of each pack of row 6, rising. */
  scale: number[]
  /** Keys of each listing of row 7, rising. */
  list: number[]
  /** Mean bytes of the objects of rows 6 and 7. */
  tinyBytes: number
}

const KIB = 1024
const MIB = 1024 * KIB

const NORMAL: Sizes = {
  small: 20_000,
  start: 100_000,
  smallBytes: 16 * KIB,
  large: 4,
  largeBytes: 256 * MIB,
  scale: [10_000, 100_000],
  list: [5_000, 50_000],
  tinyBytes: 4 * KIB,
}

export function sizesOf({ quick, full }: { quick: boolean; full: boolean }): Sizes {
  if (quick)
    return {
      ...NORMAL,
      small: 300,
      start: 600,
      largeBytes: 12 * MIB,
      scale: [100, 300],
      list: [100, 1_100],
    }
  if (full) return { ...NORMAL, scale: [10_000, 100_000, 500_000], list: [50_000, 500_000] }
  return NORMAL
}

/** Bytes on disk of so many objects: whole pages, and the largest are half as large again as the mean. */
export function room(objects: number, meanBytes: number): number {
  return objects * (meanBytes + 4 * KIB)
}
