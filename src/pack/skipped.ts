import type { DatasetManifest } from '../manifest/dataset.ts'
import type { Desk } from './documents.ts'
import { eachOf } from './each-of.ts'
import { findPlan } from './freeze.ts'
import { finishedShards } from './publish.ts'
import { readSlice } from './slices.ts'
import type { SourceObject } from './source.ts'

/**
 * What --on-changed skip left out of a finished dataset, as it had been listed: a listing of SRC that differs from
 * the manifest's by these only is still that of the dataset. undefined: nothing, or its plan is no longer there.
 */
export async function findSkipped(
  desk: Desk,
  manifest: DatasetManifest,
): Promise<Map<string, SourceObject> | undefined> {
  if ((manifest.leftCount ?? manifest.left.length) === 0) return undefined
  const plan = await findPlan(desk)
  if (plan?.source.listing !== manifest.source.listing) return undefined
  const skipped = new Map<string, SourceObject>()
  const changed = [...(await finishedShards(desk, plan))].filter(([, { left }]) => left.length > 0)
  await eachOf(changed, 8, async ([i, { left }]) => {
    const keys = new Set(left.map(({ key }) => key))
    for await (const batch of readSlice(desk, plan, i, new Map())) {
      for (const { source, size, etag = '' } of batch.flatMap(({ members }) => members)) {
        if (keys.has(source)) skipped.set(source, { rel: source, size, etag })
      }
    }
  })
  return skipped.size === 0 ? undefined : skipped
}
