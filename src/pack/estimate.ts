import type { Estimate } from '../commands/context.ts'
import type { Desk } from './documents.ts'
import { partSizeFor } from './parts.ts'
import type { PlanHead } from './plan-schema.ts'
import { WHOLE_BYTES } from './upload-shard.ts'

/** Indexes and the result beside each shard, its slice before it. */
const DOCUMENTS_A_SHARD = 4
/** For its parts and its two indexes, where another run made the plan; its own slices a run has on its disk. */
const SLICE_READS = 3
/** Head, current, manifest. */
const DOCUMENTS = 3

/** What carrying a plan out asks of the stores. Objects that span parts are counted once, so it is a floor. */
export function estimatePack(
  made: { plan: PlanHead; pages: number },
  options: { desk: Desk; partSize: number | undefined; shards?: readonly number[] },
): Estimate {
  const { plan, pages } = made
  const shards = options.shards ? options.shards.flatMap((i) => plan.shards[i] ?? []) : plan.shards
  const estimate: Estimate = { list: pages + 3, get: 0, put: DOCUMENTS, bytes: 0, disk: 0 }
  for (const { size, objects } of shards) {
    const partSize = partSizeFor(size, options.partSize)
    const parts = Math.ceil(size / partSize)
    estimate.get += Math.max(objects, parts) + 1 + (options.shards === undefined ? 0 : SLICE_READS)
    // A multipart upload is begun, noted down and completed by requests of its own.
    estimate.put += DOCUMENTS_A_SHARD + (size <= WHOLE_BYTES ? 1 : parts + 3)
    estimate.bytes += size
  }
  if (options.desk.store.kind === 'local') estimate.disk = estimate.bytes
  return estimate
}
