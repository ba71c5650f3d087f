import { crcHex } from '../checksum/crc32.ts'
import { type DaliVersion, daliHeader, daliLine, daliVersionFor } from '../formats/dali-index.ts'
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

/**
 * Writes what lies beside a shard: longshore's sample index, and DALI's where it can say the names. Returns the
 * shard's entry for the manifest. `read` gives the shard's samples, afresh each time.
 */
export async function writeIndexes(
  desk: Desk,
  sums: ShardSums,
  options: {
    names: { index: string; dali: string }
    etags: boolean
    read: () => AsyncIterable<IndexedSample>
  },
): Promise<ShardEntry> {
  const { names, etags, read } = options
  const { name, split, size, samples } = sums
  const crc32 = crcHex(sums.crc32)
  let dali: DaliVersion | undefined = 'v1.2'
  async function* index() {
    const blocks = sums.blockCrcs.map(crcHex)
    yield encodeIndexLine({
      format: INDEX_FORMAT,
      version: 1,
      shard: name,
      size,
      crc32,
      samples,
      blockSize: BLOCK_BYTES,
      blocks,
    })
    for await (const sample of read()) {
      for (const member of sample.members) dali = lesser(dali, daliVersionFor(member))
      yield encodeIndexLine(etags ? sample : withoutEtags(sample))
    }
  }
  const entry = { name, split, size, samples, crc32 }
  const own = await writeList(desk, desk.prefix + names.index, batches(index()))
  const version = dali
  if (version === undefined) return { ...entry, index: { name: names.index, ...own } }
  async function* lines() {
    yield daliHeader(version ?? 'v1.2', samples)
    for await (const { members } of read()) yield daliLine(version ?? 'v1.2', members)
  }
  const other = await writeList(desk, desk.prefix + names.dali, batches(lines()))
  return { ...entry, index: { name: names.index, ...own }, dali: { name: names.dali, ...other } }
}

function lesser(a: DaliVersion | undefined, b: DaliVersion | undefined): DaliVersion | undefined {
  if (a === undefined || b === undefined) return undefined
  return a === 'v1.1' ? a : b
}

function withoutEtags(sample: IndexedSample): IndexedSample {
  return { ...sample, members: sample.members.map(({ etag: _, ...member }) => member) }
}

/** Lines as chunks of about 256 KiB: a chunk a line would cost more than the line. */
async function* batches(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let held: string[] = []
  let units = 0
  for await (const line of lines) {
    held.push(line)
    units += line.length
    if (units < 256 * 1024) continue
    yield Buffer.from(held.join(''))
    held = []
    units = 0
  }
  if (held.length > 0) yield Buffer.from(held.join(''))
}
