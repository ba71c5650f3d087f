import { isLongshoreError, LongshoreError } from '../errors.ts'
import { diskError } from '../fs/disk-error.ts'
import type { PreloadJob } from '../preload/job.ts'
import { checkLinkPath, swapLink } from '../preload/link-path.ts'
import { lookAt } from '../preload/look.ts'
import { writePreloadMetrics } from '../preload/metrics.ts'
import { preloadOffline } from '../preload/offline.ts'
import { type Preloaded, preloadSource } from '../preload/preload-source.ts'
import { createRun, type PreloadRun, type RunOptions } from '../preload/run.ts'
import { createSelector } from '../preload/select.ts'
import { useReady } from '../preload/use-ready.ts'
import type { CacheOptions } from './cache-options.ts'
import { runChild } from './child.ts'
import type { CommandContext, Estimate } from './context.ts'

export interface PreloadOptions extends CacheOptions, Omit<RunOptions, 'live'> {
  sources: string[]
  link?: string | undefined
  /** Coverage only: exit 0 when all is there, 3 when not. */
  check: boolean
  metricsFile?: string | undefined
  /** `-- CMD`: runs with LONGSHORE_DATA set, under the lease. */
  command?: string[] | undefined
}

export interface PreloadedSource {
  source: string
  /** The immutable local folder. */
  path: string
  /** 'packed' or 'prefix' */
  kind: 'packed' | 'prefix'
  digest: string
  files: number
  bytes: number
  /** Of these: moved by this run, found in the cache, hard links to an older version. */
  fetched: { files: number; bytes: number }
  kept: { files: number; bytes: number }
  linked: { files: number; bytes: number }
  checks: Record<string, number>
  complete: boolean
  /** --check: the first missing files, and how many are missing. */
  missing?: { count: number; first: string[] } | undefined
}

export interface PreloadReport {
  sources: PreloadedSource[]
  requests: Record<string, number>
  retries: number
  seconds: number
  estimate?: Estimate | undefined
  /** 3: --check found gaps; else 0, or CMD's status */
  exit: number
}

/**
 * Brings every source into the cache, each as one immutable folder, and keeps it there by a lease. With a command
 * it runs that one when all is there, and keeps the lease for its life. Nothing is ever half under a final name.
 */
export async function preload(options: PreloadOptions, context: CommandContext): Promise<PreloadReport> {
  const started = performance.now()
  const run = createRun({ ...options, live: options.command !== undefined }, context)
  const held: Preloaded[] = []
  const report = (more: Partial<PreloadReport> = {}): PreloadReport => ({
    sources: held.map(toReport),
    ...run.counts(),
    seconds: (performance.now() - started) / 1000,
    exit: 0,
    ...more,
  })
  try {
    await checkOptions(options)
    if (options.check || context.dryRun) return report(await look(options, run))
    const cache = await run.cache()
    for (const [i, source] of options.sources.entries()) {
      const last = i === options.sources.length - 1
      // Its threads end while the last data is made durable; what fails in that is told by the close that is awaited.
      const onMoved = last ? () => void run.close().catch(() => {}) : undefined
      const done = await bring(source, options, { ...run.job, cache, onMoved })
      held.push(done)
      context.progress.item('preloaded', { source: done.url, path: done.path, fetched: done.fetched })
    }
    if (options.link && held[0]) await swapLink(options.link, held[0].path)
    // CMD may run for weeks: no socket, no buffer stays meanwhile.
    await run.close()
    if (options.metricsFile) await writePreloadMetrics(options.metricsFile, report())
    if (!options.command) return report()
    return report({ exit: await runCommand(options.command, held, context) })
  } catch (error) {
    const exit = isLongshoreError(error) ? error.exit : 1
    if (options.metricsFile && !options.check) {
      // What went wrong is the news, not that it could not be told here too.
      await writePreloadMetrics(options.metricsFile, report({ exit })).catch(() => {})
    }
    throw error
  } finally {
    await run.close()
    if (options.command) for (const one of held) await one.lease?.release()
  }
}

/** --check and --dry-run: the source is asked, nothing is written. */
async function look(
  options: PreloadOptions,
  run: PreloadRun,
): Promise<Pick<PreloadReport, 'sources' | 'estimate' | 'exit'>> {
  const cache = await run.existingCache()
  const sources: PreloadedSource[] = []
  const estimate: Estimate = { list: 0, get: 0, put: 0, bytes: 0, disk: 0 }
  for (const text of options.sources) {
    if (options.offline) {
      if (!cache.found)
        throw new LongshoreError('OFFLINE_MISSING', `${text}: there is no cache in ${cache.root}`, {
          path: text,
        })
      const found = await preloadOffline(text, { ...run.job, cache: cache.found, lease: undefined })
      sources.push(toReport(found))
      continue
    }
    const { scan, ready, url, path, kind, digest } = await lookAt(text, {
      ...run.job,
      cache: cache.found,
      root: cache.root,
    })
    const { files, bytes } = scan.all
    const none = { files: 0, bytes: 0 }
    sources.push({
      ...{ source: url, path, kind, digest, files, bytes, fetched: none, linked: none, checks: {} },
      kept: ready ? { files, bytes } : scan.kept,
      complete: ready,
      ...(options.check && !ready && { missing: scan.missing }),
    })
    if (ready) continue
    estimate.get += scan.gets
    estimate.bytes += scan.todo.bytes
    estimate.disk += scan.todo.bytes
  }
  const { requests } = run.counts()
  estimate.list = requests.LIST ?? 0
  estimate.get += requests.GET ?? 0
  if (!options.check) return { sources, estimate, exit: 0 }
  return { sources, exit: sources.every((s) => s.complete) ? 0 : 3 }
}

async function runCommand(
  command: readonly string[],
  held: readonly Preloaded[],
  { env, signal, progress }: CommandContext,
): Promise<number> {
  const data = held.map((one) => one.path).join(':')
  const { status, problem } = await runChild(command, { env: { ...env, LONGSHORE_DATA: data }, signal })
  if (problem !== undefined) progress.warn(problem)
  return status
}

async function checkOptions(options: PreloadOptions): Promise<void> {
  if (options.sources.length === 0) throw new LongshoreError('USAGE', 'preload: SRC is missing')
  if (options.link !== undefined) {
    if (options.sources.length > 1) {
      throw new LongshoreError('USAGE', '--link takes one SRC', { hint: 'run preload once for each link' })
    }
    await checkLinkPath(options.link)
  }
  if (options.readOnly && (options.pin || options.makeRoom)) {
    throw new LongshoreError(
      'USAGE',
      `--read-only writes nothing: ${options.pin ? '--pin' : '--make-room'} can't be kept`,
    )
  }
  createSelector({ include: options.include, exclude: options.exclude })
}

async function bring(source: string, options: PreloadOptions, job: PreloadJob): Promise<Preloaded> {
  try {
    return await bringOne(source, options, job)
  } catch (error) {
    throw diskError(error, job.cache.root)
  }
}

async function bringOne(source: string, options: PreloadOptions, job: PreloadJob): Promise<Preloaded> {
  if (options.offline) return await preloadOffline(source, job)
  if (!options.readOnly) return await preloadSource(source, job)
  const { ready, id, scan, ...found } = await lookAt(source, { ...job, root: job.cache.root })
  const use = ready ? await useReady(job.cache, id, job) : undefined
  if (!use) {
    throw new LongshoreError(
      'INCOMPLETE',
      `${found.url}: not complete in the read-only cache ${job.cache.root}`,
      {
        path: found.url,
        hint: `${scan.missing.count} files are missing; fill the cache where it can be written`,
      },
    )
  }
  const { files, bytes } = scan.all
  const none = { files: 0, bytes: 0 }
  const kept = { files, bytes }
  return { ...found, files, bytes, fetched: none, linked: none, kept, checks: {}, lease: use.lease }
}

function toReport({ lease: _, url, ...rest }: Preloaded): PreloadedSource {
  return { ...rest, source: url, complete: true }
}
