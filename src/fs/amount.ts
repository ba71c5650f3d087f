/** Data on the disk, as it counts. */
export interface Amount {
  files: number
  /** bytes by size, not by blocks */
  bytes: number
}
