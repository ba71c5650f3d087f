import { crc32, crc32Combine } from '../checksum/crc32.ts'
import { monotonicMs } from '../monotonic.ts'
import { BLOCK_BYTES, type Transfer, type TransferDone } from './types.ts'

/** What a result says where no sum was taken. */
export const noSums = (): Pick<TransferDone, 'blockCrcs' | 'crc32'> => ({ blockCrcs: [], crc32: 0 })

/** Whether what begins to come now is summed. */
export function sumsNow({ expectCrcs, sumFrom = 0 }: Transfer): boolean {
  return expectCrcs !== undefined || monotonicMs() >= sumFrom
}

/** CRC-32 of each block, and of the whole from theirs: the bytes are read once. */
export function sumBlocks(bytes: Uint8Array): { blockCrcs: number[]; crc32: number } {
  const sums = openBlockSums()
  sums.take(0, bytes)
  return sums.end(bytes.length)
}

/** The same of bytes that come one after the other; at 0 they come anew. */
export function openBlockSums(): {
  take(at: number, bytes: Uint8Array): void
  end(length: number): { blockCrcs: number[]; crc32: number }
} {
  let blockCrcs: number[] = []
  return {
    take(at, bytes) {
      if (at === 0) blockCrcs = []
      for (let done = 0; done < bytes.length; ) {
        const block = Math.floor((at + done) / BLOCK_BYTES)
        const part = bytes.subarray(done, (block + 1) * BLOCK_BYTES - at)
        blockCrcs[block] = crc32(part, blockCrcs[block])
        done += part.length
      }
    },
    end(length) {
      let whole = 0
      for (const [n, sum] of blockCrcs.entries()) {
        whole = crc32Combine(whole, sum, Math.min(BLOCK_BYTES, length - n * BLOCK_BYTES))
      }
      return { blockCrcs, crc32: whole }
    },
  }
}

/** Numbers of the blocks that are not what was expected; a wrong count of blocks makes all of them wrong. */
export function wrongBlocks(sums: readonly number[], expected: readonly number[] | undefined): number[] {
  if (expected === undefined) return []
  if (sums.length !== expected.length) return [...sums.keys()]
  return sums.flatMap((sum, n) => (sum === expected[n] ? [] : n))
}
