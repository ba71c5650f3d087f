import { type IndexedSample, parseSample, readLineBatches } from '../formats/sample-index.ts'
import { TAR_END_BYTES } from '../formats/tar/header.ts'
import { type Desk, readList } from './documents.ts'
import { readLineFile, slicePath } from './local-lines.ts'
import { type PlanHead, planKeys } from './plan-schema.ts'

const MAX_LINE = 64 * 1024 * 1024

/**
 * The samples of shard `i` as they lie in it, some hundreds at a time. Samples with a member in `without` (source
 * keys relative to SRC) are left out and the rest moves up: the shard as it is laid out anew.
 */
export async function* readSlice(
  desk: Desk,
  plan: PlanHead,
  i: number,
  without: ReadonlyMap<string, string>,
): AsyncGenerator<IndexedSample[]> {
  const path = `${desk.store.url}/${planKeys(desk.prefix).slice(plan.digest, i)}`
  let number = 0
  let end = 0
  for await (const lines of readLineBatches(readSliceBytes(desk, plan, i), { maxBytes: MAX_LINE, path })) {
    const batch: IndexedSample[] = []
    for (const line of lines) {
      const sample = parseSample(line, ++number, path)
      if (without.size > 0 && sample.members.some(({ source }) => without.has(source))) continue
      batch.push(sample.offset === end ? sample : moveSample(sample, end))
      end += sample.size
    }
    if (batch.length > 0) yield batch
  }
}

/** The same as it is written down: a line a sample, none left out. */
export async function* readSliceBytes(desk: Desk, plan: PlanHead, i: number): AsyncGenerator<Uint8Array> {
  const file = plan.shards[i]?.slice
  if (file === undefined) return
  if (desk.slices === undefined) yield* readList(desk, planKeys(desk.prefix).slice(plan.digest, i), file)
  else yield* readLineFile(slicePath(desk.slices, i), file)
}

export interface ShardShape {
  /** bytes of the shard; of its bodies */
  size: number
  bytes: number
  samples: number
  objects: number
}

export async function measure(samples: AsyncIterable<readonly IndexedSample[]>): Promise<ShardShape> {
  const shape: ShardShape = { size: TAR_END_BYTES, bytes: 0, samples: 0, objects: 0 }
  for await (const batch of samples) {
    for (const { size, members } of batch) {
      shape.size += size
      shape.samples++
      shape.objects += members.length
      for (const member of members) shape.bytes += member.size
    }
  }
  return shape
}

/** The same sample elsewhere in a shard: offsets of its parts move with it. */
function moveSample(sample: IndexedSample, offset: number): IndexedSample {
  const by = offset - sample.offset
  const members = sample.members.map((member) => ({ ...member, offset: member.offset + by }))
  return { ...sample, offset, members }
}
