import { BLOCK_BYTES } from '../transfer/types.ts'

export interface Range {
  offset: number
  length: number
}

/**
 * How large objects are cut. A multiple of the CRC block (8 MiB), so every block of a shard is checked as it
 * arrives; only a buffer budget too small for that gives less, and then the whole file's CRC has to do.
 */
export function rangeBytes(partSize: number | undefined, memory: number): number {
  const wanted = Math.max(1, Math.ceil((partSize ?? BLOCK_BYTES) / BLOCK_BYTES)) * BLOCK_BYTES
  const affordable = Math.floor(memory / 2 / BLOCK_BYTES) * BLOCK_BYTES
  if (affordable >= BLOCK_BYTES) return Math.min(wanted, affordable)
  return Math.min(wanted, Math.max(64 * 1024, Math.floor(memory / 2)))
}

/**
 * What of an object of `size` bytes is not in `done` (which do not overlap), in order: cut at the multiples of
 * `part`, so that what an earlier run cut otherwise is kept all the same.
 */
export function* planRanges(size: number, part: number, done: Iterable<Range>): Generator<Range> {
  const there = [...done].sort((a, b) => a.offset - b.offset)
  let offset = 0
  for (const next of [...there, { offset: size, length: 0 }]) {
    while (offset < next.offset) {
      const length = Math.min(part - (offset % part), next.offset - offset)
      yield { offset, length }
      offset += length
    }
    offset = next.offset + next.length
  }
}

/** The CRCs of the blocks in a range, where the range begins and ends at blocks (or at the object's end). */
export function blocksOf(
  blocks: readonly number[] | undefined,
  range: Range,
  size: number,
): number[] | undefined {
  if (!blocks || range.offset % BLOCK_BYTES !== 0) return undefined
  const end = range.offset + range.length
  if (end % BLOCK_BYTES !== 0 && end !== size) return undefined
  return blocks.slice(range.offset / BLOCK_BYTES, Math.ceil(end / BLOCK_BYTES))
}
