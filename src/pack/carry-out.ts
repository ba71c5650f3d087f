import type { PackReport } from '../commands/pack.ts'
import { CLEAR_MS } from './clear-uploads.ts'
import { estimatePack } from './estimate.ts'
import { fillShards } from './fill.ts'
import { leavesUpload } from './leaves-upload.ts'
import { namesBeside } from './names.ts'
import { type PlanHead, planKeys } from './plan-schema.ts'
import { finishedShards, LEFT_LIST, publish } from './publish.ts'
import { removeRecords } from './remove-records.ts'
import { type Run, report } from './report.ts'
import { sweepUploads } from './sweep-uploads.ts'

/** From a frozen plan to a dataset: this task's shards, then, where they were the last, the manifest. */
export async function carryOut(run: Run, plan: PlanHead, found: boolean): Promise<PackReport> {
  const { options, context, desk, task } = run
  if (plan.lacking > 0) {
    context.progress.warn(`${plan.lacking} samples lack an extension of --require`, { path: options.source })
  }
  const mine = [...plan.shards.keys()].filter((i) => i % task.count === task.index)
  const finished = await finishedShards(desk, plan)
  const todo = mine.filter((i) => !finished.has(i))
  if (context.dryRun) {
    const estimate = estimatePack({ plan, pages: 0 }, { desk, partSize: context.partSize, shards: todo })
    return { ...report(run, plan, { packed: 0, kept: mine.length - todo.length }), estimate }
  }
  const sweep = async (
    shards: readonly number[],
    {
      folder,
      spare,
      signal = desk.signal,
    }: { folder?: string; spare?: ReadonlySet<number>; signal?: AbortSignal },
  ): Promise<void> => {
    const names = shards.flatMap((i) => {
      const { shard, index, dali } = namesBeside(plan.shards[i]?.name ?? '')
      return spare?.has(i) ? [index, dali] : [shard, index, dali]
    })
    // Never at the end: another task may be about to publish, too.
    if (folder === undefined) names.push(LEFT_LIST)
    const keys = new Set(names.map((name) => desk.prefix + name))
    await sweepUploads(
      { ...desk, signal },
      {
        ours: (key) => keys.has(key) || (folder !== undefined && key.startsWith(folder)),
        onFailure: (error) => context.progress.debug(`open uploads can't be cleared away: ${String(error)}`),
      },
    )
  }
  // An upload of a shard that is still to be done is for its own filling to judge: it may go on with it.
  if (found) await sweep(mine, { spare: new Set(todo) })
  context.progress.phase('pack')
  for (const i of todo) {
    context.progress.expect({ bytes: plan.shards[i]?.size ?? 0, objects: plan.shards[i]?.objects ?? 0 })
  }
  const fill = {
    source: run.source,
    plan,
    shards: todo,
    onChanged: options.onChanged,
    partSize: context.partSize,
    memory: context.engine.memory,
    resumed: found,
    progress: context.progress,
    checks: run.checks,
    onKept: () => run.keptParts++,
  }
  try {
    await fillShards(desk, fill)
  } catch (error) {
    // What earlier runs left is no use any more when this plan can't be carried out.
    if (found && !leavesUpload(error, { grew: true })) {
      await sweep(todo, { signal: AbortSignal.timeout(CLEAR_MS) }).catch(() => {})
    }
    throw error
  }
  // All shards are through, whoever made them: what is still open belongs to nobody who lives.
  const tidy = async (): Promise<void> => {
    await sweep([...plan.shards.keys()], { folder: planKeys(desk.prefix).base })
    await removeRecords(desk, planKeys(desk.prefix).uploads(plan.digest))
  }
  const published = await publish(desk, plan, { destination: options.destination, tidy })
  return report(run, plan, { packed: todo.length, kept: mine.length - todo.length, published })
}
