import { type IndexedSample, indexedSampleSchema, parseLine, readLines } from '../formats/sample-index.ts'
import { TAR_END_BYTES } from '../formats/tar/header.ts'
import { type Desk, readList } from './documents.ts'
import { type PlanHead, planKeys } from './plan-schema.ts'
import { moveSample } from './shard-layout.ts'

const MAX_LINE = 64 * 1024 * 1024

/**
 * The samples of shard `i` as they lie in it. Samples with a member in `without` (source keys relative to SRC) are
 * left out and the rest moves up: the shard as it is laid out anew.
 */
export async function* readSlice(
  desk: Desk,
  plan: PlanHead,
  i: number,
  without: ReadonlyMap<string, string>,
): AsyncGenerator<IndexedSample> {
  const file = plan.shards[i]?.slice
  if (file === undefined) return
  const key = planKeys(desk.prefix).slice(plan.digest, i)
  const path = `${desk.store.url}/${key}`
  let number = 0
  let end = 0
  for await (const line of readLines(readList(desk, key, file), { maxBytes: MAX_LINE, path })) {
    const sample = parseLine(indexedSampleSchema, line, ++number, path)
    if (sample.members.some(({ source }) => without.has(source))) continue
    yield sample.offset === end ? sample : moveSample(sample, end)
    end += sample.size
  }
}

export interface ShardShape {
  /** bytes of the shard; of its bodies */
  size: number
  bytes: number
  samples: number
  objects: number
}

export async function measure(samples: AsyncIterable<IndexedSample>): Promise<ShardShape> {
  const shape: ShardShape = { size: TAR_END_BYTES, bytes: 0, samples: 0, objects: 0 }
  for await (const sample of samples) {
    shape.size += sample.size
    shape.samples++
    shape.objects += sample.members.length
    for (const member of sample.members) shape.bytes += member.size
  }
  return shape
}
