import { encodeIndexLine, type IndexedSample } from '../formats/sample-index.ts'
import { TAR_END_BYTES, tarHeaderBytes, tarPadding } from '../formats/tar/header.ts'
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
  let open: { file: LineFile; shard: Omit<PlannedShard, 'slice'>; end: number } | undefined
  let number = 0
  const close = async (): Promise<void> => {
    if (open === undefined) return
    const slice = await open.file.finish()
    done.shards.push({ ...open.shard, size: open.end + TAR_END_BYTES, slice })
    open = undefined
  }
  return {
    async add(sample: Sample): Promise<void> {
      const line = placeSample(sample, options.splitFolders)
      const full =
        open !== undefined &&
        (open.shard.split !== sample.split ||
          open.end + line.size + TAR_END_BYTES > shardSize ||
          open.shard.samples === options.maxSamples)
      if (full) await close()
      if (open === undefined) {
        number = done.splits.at(-1) === sample.split ? number + 1 : 0
        if (number === 0) done.splits.push(sample.split)
        const name = shardNames(sample.split, number).shard
        const shard = { name, split: sample.split, size: 0, samples: 0, objects: 0, bytes: 0 }
        open = { file: await createLineFile(slicePath(options.dir, done.shards.length)), shard, end: 0 }
      }
      await open.file.write(encodeIndexLine(moveSample(line, open.end)))
      open.end += line.size
      open.shard.samples++
      open.shard.objects += sample.members.length
      done.objects += sample.members.length
      const bytes = sample.members.reduce((sum, member) => sum + member.size, 0)
      open.shard.bytes += bytes
      done.bytes += bytes
    },
    async finish(): Promise<Layout> {
      await close()
      return done
    },
  }
}

/** The same sample elsewhere in a shard: offsets of its parts move with it. */
export function moveSample(sample: IndexedSample, offset: number): IndexedSample {
  const by = offset - sample.offset
  const members = sample.members.map((member) => ({ ...member, offset: member.offset + by }))
  return { ...sample, offset, members }
}

function placeSample(sample: Sample, splitFolders: boolean): IndexedSample {
  let at = 0
  const members = sample.members.map(({ name, ext, size, etag, split }) => {
    const offset = at + tarHeaderBytes(name)
    at = offset + size + tarPadding(size)
    return { name, ext, offset, size, source: splitFolders ? `${split}/${name}` : name, etag }
  })
  return { key: sample.key, offset: 0, size: at, members }
}
