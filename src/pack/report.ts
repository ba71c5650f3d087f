import type { CommandContext } from '../commands/context.ts'
import type { PackOptions, PackReport } from '../commands/pack.ts'
import type { DatasetManifest } from '../manifest/dataset.ts'
import type { Engine } from '../transfer/types.ts'
import type { Source } from './changed.ts'
import type { Desk } from './documents.ts'
import type { PlanHead } from './plan-schema.ts'
import type { Scratch } from './scratch.ts'
import { splitTotals } from './split-totals.ts'
import type { Task } from './task.ts'

/** One run of `pack`: what it was asked, what it works with, what it counts. */
export interface Run {
  options: PackOptions
  context: CommandContext
  source: Source
  sourceUrl: string
  planWaitMs: number
  desk: Desk
  scratch: Scratch
  task: Task
  checks: Record<string, number>
  keptParts: number
  /** Requests beside the engine's. */
  counts: Record<string, number>
  retries: () => number
  started: number
}

/** What `pack` gives back. */
export function report(
  run: Run,
  plan: PlanHead,
  done: {
    packed: number
    kept: number
    published?: { manifest: DatasetManifest; sha256: string } | undefined
  },
): PackReport {
  const manifest = done.published?.manifest
  const stats: Engine['stats'] = run.desk.engine.stats
  const requests = { ...stats.requests }
  for (const [kind, times] of Object.entries(run.counts)) requests[kind] = (requests[kind] ?? 0) + times
  const leftCount = manifest?.leftCount ?? plan.left.count
  const splits = manifest?.splits ?? splitTotals(plan.splits, plan.shards)
  return {
    destination: run.options.destination,
    manifest: done.published?.sha256,
    splits,
    objects: plan.source.objects,
    bytes: plan.source.bytes,
    packed: done.packed,
    kept: done.kept,
    keptParts: run.keptParts,
    left: manifest?.left ?? plan.left.first,
    leftCount,
    leftList: manifest?.leftList?.name,
    checks: run.checks,
    requests,
    retries: run.retries(),
    seconds: (performance.now() - run.started) / 1000,
    exit: plan.skipped > 0 || leftCount > plan.left.count ? 3 : 0,
  }
}
