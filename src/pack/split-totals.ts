import type { DatasetManifest } from '../manifest/dataset.ts'

type Totals = DatasetManifest['splits'][number]

/** What each split amounts to, in one pass over the shards: there may be thousands of both. */
export function splitTotals(
  splits: readonly { name: string; seed: number | null }[],
  shards: readonly { split: string; samples: number; size: number }[],
): Totals[] {
  const totals = new Map<string, Totals>()
  for (const { name, seed } of splits) totals.set(name, { name, seed, shards: 0, samples: 0, bytes: 0 })
  for (const { split, samples, size } of shards) {
    const sum = totals.get(split)
    if (sum === undefined) continue
    sum.shards++
    sum.samples += samples
    sum.bytes += size
  }
  return [...totals.values()]
}
