import type { CommandContext } from '../commands/context.ts'
import type { PackOptions, PackReport } from '../commands/pack.ts'
import type { DatasetManifest } from '../manifest/dataset.ts'
import { openStore } from '../s3/open.ts'
import type { ObjectStore } from '../s3/store.ts'
import { type Location, parseLocation } from '../s3/uri.ts'
import { openEngine } from '../transfer/engine.ts'
import type { Engine } from '../transfer/types.ts'
import type { Source } from './changed.ts'
import { countedStore } from './counted-store.ts'
import { checkApart, checkNoShards } from './destination.ts'
import type { Desk } from './documents.ts'
import { estimatePack } from './estimate.ts'
import { fillShards } from './fill.ts'
import { awaitPlan, checkSamePlan, findPlan, freezePlan, holdsOther } from './freeze.ts'
import { linkSignal } from './link-signal.ts'
import { type MakePlanOptions, makePlan, spoolFileList } from './make-plan.ts'
import { namesBeside } from './names.ts'
import { canonicalOptions, checkOptions } from './options.ts'
import { type PlanHead, planKeys } from './plan-schema.ts'
import { checkWhole, findManifest, finishedShards, LEFT_LIST, publish } from './publish.ts'
import { lockDestination, openScratch, type Scratch, scratchError } from './scratch.ts'
import { findSkipped } from './skipped.ts'
import { splitTotals } from './split-totals.ts'
import { sweepUploads } from './sweep-uploads.ts'
import { type Task, taskFromEnv } from './task.ts'

/** ms that a task waits for the first one's plan before it makes the same plan itself */
const PLAN_WAIT_MS = 120_000

interface Run {
  options: PackOptions
  context: CommandContext
  source: Source
  sourceUrl: string
  planWaitMs: number
  desk: Desk
  scratch: Scratch
  task: Task
  checks: Record<string, number>
  /** Requests beside the engine's. */
  counts: Record<string, number>
  retries: () => number
  started: number
}

/** The whole of `pack`: see pack() in src/commands/pack.ts for its contract. */
export async function runPack(
  options: PackOptions,
  context: CommandContext,
  { planWaitMs = PLAN_WAIT_MS }: { planWaitMs?: number } = {},
): Promise<PackReport> {
  const started = performance.now()
  checkOptions(options)
  const task = options.task ?? taskFromEnv(context.env) ?? { index: 0, count: 1 }
  const cwd = process.cwd()
  const from = parseLocation(options.source, { cwd })
  const to = parseLocation(options.destination, { cwd })
  await checkApart(from, to, options)
  const { env } = context
  const { signal, unlink } = linkSignal(context.signal)
  const closers: (() => Promise<void>)[] = [async () => unlink()]
  const counts: Record<string, number> = {}
  let retries = 0
  const onRetry = (reason: string): void => {
    retries++
    context.progress.retry(reason)
  }
  try {
    const open = async (location: Location): Promise<{ store: ObjectStore; prefix: string }> => {
      const opened = await openStore(location, context.s3, { env, signal, onRetry })
      closers.push(() => opened.store.close())
      return { store: countedStore(opened.store, counts), prefix: opened.prefix }
    }
    const source = await open(from)
    const target = await open(to)
    // The stores tell every retry themselves.
    const engine = openEngine({ ...context.engine, signal })
    closers.push(() => engine.close())
    const scratch = await openScratch(env)
    closers.push(() => scratch.remove())
    const desk: Desk = { engine, store: target.store, prefix: target.prefix, signal }
    const sourceUrl = source.store.kind === 'local' ? 'local:' : `${source.store.url}/${source.prefix}`
    const about = { options, context, source, sourceUrl, planWaitMs }
    const run = { ...about, desk, scratch, task, checks: {}, counts, started }
    if (!context.dryRun) {
      const lock = await lockDestination(
        `${desk.store.place} ${desk.store.url}/${desk.prefix} ${task.index}/${task.count}`,
        {
          env,
          signal,
          onWait: () =>
            context.progress.warn('waiting for another pack into the same place', {
              path: options.destination,
            }),
        },
      )
      closers.push(async () => lock?.release())
    }
    return await work({ ...run, retries: () => retries })
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function work(run: Run): Promise<PackReport> {
  const { options, context, desk, scratch, task } = run
  const { signal } = desk
  const onDisk = (error: unknown): never => {
    throw scratchError(error, scratch.path)
  }
  const planned = (about: MakePlanOptions): ReturnType<typeof makePlan> => makePlan(about).catch(onDisk)
  const list =
    options.filesFrom === undefined
      ? null
      : await spoolFileList(options.filesFrom, { dir: scratch.path, signal }).catch(onDisk)
  const canonical = canonicalOptions(options, list)
  const wanted = { options: canonical, sourceUrl: run.sourceUrl, destination: options.destination }
  const planning = { ...run, pack: options, canonical, dir: scratch.path, progress: context.progress, signal }

  const published = await findManifest(desk)
  if (published) {
    checkSamePlan(published.manifest, wanted)
    await checkWhole(desk, published.manifest)
    const skipped = await findSkipped(desk, published.manifest)
    const skips = options.onChanged === 'skip'
    const { plan } = await planned({ ...planning, asPlanned: skips ? skipped : undefined })
    if (plan.source.listing !== published.manifest.source.listing) {
      const without = `a dataset without ${skipped?.size} objects that changed while it was packed (--on-changed skip)`
      const older = 'an older state of SRC: its objects have changed since it was packed'
      throw holdsOther(options.destination, skipped === undefined || skips ? older : without)
    }
    return report(run, plan, { packed: 0, kept: plan.shards.length, published })
  }
  let plan = await findPlan(desk)
  const found = plan !== undefined
  if (plan === undefined) {
    await checkNoShards(desk, options.destination)
    if (context.dryRun) {
      const made = await planned(planning)
      const estimate = estimatePack(made, { desk, partSize: context.partSize })
      return { ...report(run, made.plan, { packed: 0, kept: 0 }), estimate }
    }
    // The first task plans; the others only when it seems to be dead. Planning twice is a waste, not a mistake.
    if (task.index > 0) {
      context.progress.phase('wait for task 0')
      plan = await awaitPlan(desk, run.planWaitMs)
      if (plan === undefined) {
        const message = `no plan from task 0 after ${run.planWaitMs / 1000} s: task ${task.index} makes it`
        context.progress.warn(message, { path: options.destination })
      }
    }
    plan ??= await freezePlan(desk, (await planned(planning)).plan, scratch.path)
  }
  checkSamePlan(plan, wanted)
  return await carryOut(run, plan, found)
}

async function carryOut(run: Run, plan: PlanHead, found: boolean): Promise<PackReport> {
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
  const sweep = async (shards: readonly number[], folder?: string): Promise<void> => {
    const names = shards.flatMap((i) => Object.values(namesBeside(plan.shards[i]?.name ?? '')))
    // Never at the end: another task may be about to publish, too.
    if (folder === undefined) names.push(LEFT_LIST)
    const keys = new Set(names.map((name) => desk.prefix + name))
    await sweepUploads(desk, {
      ours: (key) => keys.has(key) || (folder !== undefined && key.startsWith(folder)),
      onFailure: (error) => context.progress.debug(`open uploads can't be cleared away: ${String(error)}`),
    })
  }
  if (found) await sweep(mine)
  context.progress.phase('pack')
  for (const i of todo) {
    context.progress.expect({ bytes: plan.shards[i]?.size ?? 0, objects: plan.shards[i]?.objects ?? 0 })
  }
  await fillShards(desk, {
    source: run.source,
    plan,
    shards: todo,
    onChanged: options.onChanged,
    partSize: context.partSize,
    memory: context.engine.memory,
    resumed: found,
    progress: context.progress,
    checks: run.checks,
  })
  // All shards are through, whoever made them: what is still open belongs to nobody who lives.
  const tidy = (): Promise<void> => sweep([...plan.shards.keys()], planKeys(desk.prefix).base)
  const published = await publish(desk, plan, { destination: options.destination, tidy })
  return report(run, plan, { packed: todo.length, kept: mine.length - todo.length, published })
}

function report(
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
