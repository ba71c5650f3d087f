import { encodeIndexLine, type IndexedSample } from '../formats/sample-index.ts'
import { TAR_END_BYTES, tarHeaderBytes, tarMemberBytes, tarPadding } from '../formats/tar/header.ts'
import { createLineFile, type LineFile, slicePath } from './local-lines.ts'
import { shardNames } from './names.ts'
import type { PlannedShard } from './plan-schema.ts'
import type { Sample } from './samples.ts'

export interface Layout {
  shardSize: number
  splits: string[]
  shards: PlannedShard[]
  objects: number
  /** Of the bodies. */
  bytes: number
}

interface OpenSlice {
  file: LineFile
  shard: Omit<PlannedShard, 'slice'>
  /** bytes of the shard so far */
  end: number
}

/**
 * Fills shards in order: a sample that would make one larger than `shardSize` begins the next, so only a sample
 * that is larger by itself exceeds it. A split begins a new shard.
 */
export function createShardLayout(options: {
  dir: string
  shardSize: number
  maxSamples: number | undefined
  splitFolders: boolean
}) {
  const { shardSize } = options
  const done: Layout = { shardSize, splits: [], shards: [], objects: 0, bytes: 0 }
  let open: OpenSlice | undefined
  let number = 0
  const close = async (): Promise<void> => {
    if (open === undefined) return
    const slice = await open.file.finish()
    done.shards.push({ ...open.shard, size: open.end + TAR_END_BYTES, slice })
    open = undefined
  }
  const begin = async (split: string): Promise<OpenSlice> => {
    await close()
    number = done.splits.at(-1) === split ? number + 1 : 0
    if (number === 0) done.splits.push(split)
    const name = shardNames(split, number).shard
    const shard = { name, split, size: 0, samples: 0, objects: 0, bytes: 0 }
    open = { file: await createLineFile(slicePath(options.dir, done.shards.length)), shard, end: 0 }
    return open
  }
  const put = (slice: OpenSlice, sample: Sample, size: number, bytes: number): Promise<void> | undefined => {
    const { file, shard, end } = slice
    slice.end += size
    shard.samples++
    shard.objects += sample.members.length
    shard.bytes += bytes
    done.objects += sample.members.length
    done.bytes += bytes
    return file.write(encodeIndexLine(placeSample(sample, end, size, options.splitFolders)))
  }
  return {
    /** undefined: done, and there is nothing to wait for. */
    add(sample: Sample): Promise<void> | undefined {
      let [size, bytes] = [0, 0]
      for (const member of sample.members) {
        size += tarMemberBytes(member.name, member.size)
        bytes += member.size
      }
      const fits =
        open !== undefined &&
        open.shard.split === sample.split &&
        open.end + size + TAR_END_BYTES <= shardSize &&
        open.shard.samples !== options.maxSamples
      if (open !== undefined && fits) return put(open, sample, size, bytes)
      return begin(sample.split).then((next) => put(next, sample, size, bytes))
    },
    async finish(): Promise<Layout> {
      await close()
      return done
    },
  }
}

function placeSample(sample: Sample, offset: number, size: number, splitFolders: boolean): IndexedSample {
  let at = offset
  const members = sample.members.map(({ name, ext, size, etag, split }) => {
    const body = at + tarHeaderBytes(name)
    at = body + size + tarPadding(size)
    return { name, ext, offset: body, size, source: splitFolders ? `${split}/${name}` : name, etag }
  })
  return { key: sample.key, offset, size, members }
}
