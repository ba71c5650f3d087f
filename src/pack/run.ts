import type { CommandContext } from '../commands/context.ts'
import type { PackOptions, PackReport } from '../commands/pack.ts'
import { openStore } from '../s3/open.ts'
import type { ObjectStore } from '../s3/store.ts'
import { type Location, parseLocation } from '../s3/uri.ts'
import { openEngine } from '../transfer/engine.ts'
import { carryOut } from './carry-out.ts'
import { countedStore } from './counted-store.ts'
import { checkApart, checkNoShards } from './destination.ts'
import type { Desk } from './documents.ts'
import { estimatePack } from './estimate.ts'
import { awaitPlan, checkSamePlan, findPlan, freezePlan, holdsOther } from './freeze.ts'
import { linkSignal } from './link-signal.ts'
import { type MakePlanOptions, makePlan, spoolFileList } from './make-plan.ts'
import { canonicalOptions, checkOptions } from './options.ts'
import { checkWhole, findManifest } from './publish.ts'
import { type Run, report } from './report.ts'
import { lockDestination, openScratch, scratchError } from './scratch.ts'
import { findSkipped } from './skipped.ts'
import { taskFromEnv } from './task.ts'

/** ms that a task waits for the first one's plan before it makes the same plan itself */
const PLAN_WAIT_MS = 120_000

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
    // The stores tell every retry themselves.
    const engine = openEngine({ ...context.engine, signal, early: !context.dryRun })
    closers.push(() => engine.close())
    const source = await open(from)
    const target = await open(to)
    // Before them: closing twice is harmless.
    closers.push(() => engine.close())
    const scratch = await openScratch(env)
    closers.push(() => scratch.remove())
    const desk: Desk = { engine, store: target.store, prefix: target.prefix, signal }
    const sourceUrl = source.store.kind === 'local' ? 'local:' : `${source.store.url}/${source.prefix}`
    const about = { options, context, source, sourceUrl, planWaitMs }
    const run = { ...about, desk, scratch, task, checks: {}, keptParts: 0, counts, started }
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
  let slices: string | undefined
  const found = plan !== undefined
  if (plan === undefined) {
    await checkNoShards(desk, options.destination)
    if (context.dryRun) {
      const before = run.counts.LIST ?? 0
      const made = await planned(planning)
      // Read by several requests at once, a listing takes a few more of them than it has pages.
      const pages = Math.max(made.pages, (run.counts.LIST ?? 0) - before)
      const estimate = estimatePack({ ...made, pages }, { desk, partSize: context.partSize })
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
    if (plan === undefined) {
      const made = (await planned(planning)).plan
      plan = await freezePlan(desk, made, scratch.path)
      // Another task may have been first, with another plan.
      if (plan.digest === made.digest) slices = scratch.path
    }
  }
  checkSamePlan(plan, wanted)
  return await carryOut({ ...run, desk: { ...desk, slices } }, plan, found)
}
