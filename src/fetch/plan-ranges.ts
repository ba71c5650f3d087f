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

/** The ranges of an object of `size` bytes that are not in `done` (by their first byte), in order. */
export function* planRanges(
  size: number,
  part: number,
  done: ReadonlyMap<number, unknown>,
): Generator<Range> {
  for (let offset = 0; offset < size; offset += part) {
    if (!done.has(offset)) yield { offset, length: Math.min(part, size - offset) }
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
