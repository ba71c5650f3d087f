import { crcHex } from '../checksum/crc32.ts'
import { type DaliVersion, daliHeader, daliLine } from '../formats/dali-index.ts'
import { encodeIndexLine, INDEX_FORMAT, type IndexedSample } from '../formats/sample-index.ts'
import type { ShardEntry } from '../manifest/dataset.ts'
import { BLOCK_BYTES } from '../transfer/types.ts'
import { type Desk, writeList } from './documents.ts'

export interface ShardSums {
  name: string
  split: string
  size: number
  samples: number
  crc32: number
  blockCrcs: readonly number[]
}

export interface IndexOptions {
  names: { index: string; dali: string }
  /** The form that can say all its names; undefined: none can, so there is no such index. */
  dali: DaliVersion | undefined
  /** The shard's samples, afresh each time. */
  read: () => AsyncIterable<readonly IndexedSample[]>
  /** Its lines, where the plan has them just as they shall stand in the index. */
  lines: (() => AsyncIterable<Uint8Array>) | undefined
  etags: boolean
}

/**
 * Writes what lies beside a shard: longshore's sample index, and DALI's where it can say the names. Returns the
 * shard's entry for the manifest.
 */
export async function writeIndexes(desk: Desk, sums: ShardSums, options: IndexOptions): Promise<ShardEntry> {
  const { names, dali: version, read, lines, etags } = options
  const { name, split, size, samples } = sums
  const crc32 = crcHex(sums.crc32)
  async function* index() {
    const blocks = sums.blockCrcs.map(crcHex)
    yield Buffer.from(
      encodeIndexLine({
        format: INDEX_FORMAT,
        version: 1,
        shard: name,
        size,
        crc32,
        samples,
        blockSize: BLOCK_BYTES,
        blocks,
      }),
    )
    if (lines !== undefined) yield* lines()
    else yield* encoded(read(), (sample) => encodeIndexLine(etags ? sample : withoutEtags(sample)))
  }
  const entry = { name, split, size, samples, crc32 }
  const own = await writeList(desk, desk.prefix + names.index, index())
  if (version === undefined) return { ...entry, index: { name: names.index, ...own } }
  async function* dali(form: DaliVersion) {
    yield Buffer.from(daliHeader(form, samples))
    yield* encoded(read(), ({ members }) => daliLine(form, members))
  }
  const other = await writeList(desk, desk.prefix + names.dali, dali(version))
  return { ...entry, index: { name: names.index, ...own }, dali: { name: names.dali, ...other } }
}

function withoutEtags(sample: IndexedSample): IndexedSample {
  return { ...sample, members: sample.members.map(({ etag: _, ...member }) => member) }
}

/** A chunk for every batch of samples: a chunk a line would cost more than the line. */
async function* encoded(
  batches: AsyncIterable<readonly IndexedSample[]>,
  line: (sample: IndexedSample) => string,
): AsyncGenerator<Uint8Array> {
  for await (const batch of batches) yield Buffer.from(batch.map(line).join(''))
}
