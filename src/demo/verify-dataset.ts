import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readSampleIndex } from '../formats/sample-index.ts'
import { readTar } from '../formats/tar/read.ts'
import { DATASET_MANIFEST, datasetSchema } from '../manifest/dataset.ts'
import { sameBytes } from './compare-files.ts'

export interface Verified {
  shards: number
  samples: number
  files: number
  bytes: number
  /** Source paths whose bytes in the shard are others, or whose tar entry is not where the index says: the first 20. */
  wrong: string[]
}

/**
 * Reads a preloaded dataset the way a trainer would, tar entry by tar entry, and compares every body with the
 * source file that the sample index names.
 */
export async function verifyDataset(
  dir: string,
  source: string,
  options: { signal: AbortSignal; onFile(bytes: number): void },
): Promise<Verified> {
  const manifest = datasetSchema.parse(JSON.parse(await readFile(join(dir, DATASET_MANIFEST), 'utf8')))
  const total: Verified = { shards: 0, samples: 0, files: 0, bytes: 0, wrong: [] }
  for (const shard of manifest.shards) {
    const path = join(dir, shard.name)
    const { samples } = await readSampleIndex(createReadStream(join(dir, shard.index.name)), options)
    const entries = readTar(createReadStream(path), { path, signal: options.signal })
    for await (const sample of samples) {
      options.signal.throwIfAborted()
      for (const member of sample.members) {
        const entry = (await entries.next()).value
        const there =
          entry?.name === member.name && entry.offset === member.offset && entry.size === member.size
        if (!there || !(await sameBytes(path, member.offset, member.size, join(source, member.source)))) {
          if (total.wrong.length < 20) total.wrong.push(member.source)
        }
        total.files++
        total.bytes += member.size
        options.onFile(member.size)
      }
      total.samples++
    }
    if (!(await entries.next()).done && total.wrong.length < 20)
      total.wrong.push(`${shard.name}: more than its index`)
    total.shards++
  }
  return total
}
