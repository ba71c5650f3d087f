import { leaseOwner } from '../cache/leases.ts'
import { openCache } from '../cache/open.ts'
import type { Cache, CacheMode, SpaceLimit } from '../cache/types.ts'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import { rangeBytes } from '../fetch/plan-ranges.ts'
import type { Progress } from '../progress.ts'
import type { S3Settings } from '../s3/settings.ts'
import type { Engine, EngineSettings } from '../transfer/types.ts'
import type { PreloadJob } from './job.ts'
import { type NodeShare, nodeFromEnv } from './node-share.ts'

export interface RunOptions {
  cacheDir?: string | undefined
  cacheMode: CacheMode
  /** An equal share of the dataset; 'auto' from the launcher. */
  node?: NodeShare | 'auto' | undefined
  include: readonly string[]
  exclude: readonly string[]
  verify: 'checksum' | 'size' | 'none'
  maxSize?: SpaceLimit | undefined
  minFree?: SpaceLimit | undefined
  makeRoom: boolean
  /** ms */
  lease: number
  leaseOwner?: string | undefined
  pin: boolean
  /** The lease ends with this process. */
  live: boolean
  offline: boolean
  readOnly: boolean
}

export interface RunContext {
  signal: AbortSignal
  progress: Progress
  s3: S3Settings
  engine: EngineSettings
  partSize?: number | undefined
  env: Readonly<Record<string, string | undefined>>
}

/** What all sources of one run share: the selection, one engine at most, the counters. */
export interface PreloadRun {
  job: Omit<PreloadJob, 'cache'>
  cache(): Promise<Cache>
  /** The cache for a question: not made where there is none. */
  existingCache(): Promise<{ found: Cache | undefined; root: string }>
  counts(): { requests: Record<string, number>; retries: number }
  /** Idempotent. */
  close(): Promise<void>
}

export function createRun(options: RunOptions, context: RunContext): PreloadRun {
  const { env, progress, signal, s3 } = context
  const { cacheDir, cacheMode: mode, include, exclude, maxSize, minFree, makeRoom } = options
  const requests: Record<string, number> = {}
  let retries = 0
  let engine: Promise<Engine> | undefined
  let opened: Engine | undefined
  const onRetry = (reason: string): void => {
    retries++
    progress.retry(reason)
  }
  const load = () => import('../transfer/engine.ts')
  const startEngine = async (): Promise<Engine> => {
    const { openEngine } = await load()
    opened = openEngine({
      ...context.engine,
      ...{ signal, early: true },
      onRetry: (reason) => progress.retry(reason),
    })
    return opened
  }
  return {
    job: {
      ...{ s3, env, progress, signal, cwd: process.cwd(), requests, onRetry },
      selection: { include, exclude, node: shareOf(options.node, context) },
      verify: options.verify,
      part: rangeBytes(context.partSize, context.engine.memory),
      streams: context.partSize === undefined,
      ...{ maxSize, minFree, makeRoom },
      lease: {
        owner: options.leaseOwner ?? leaseOwner(env),
        ms: options.lease,
        live: options.live,
        pin: options.pin,
      },
      engine() {
        engine ??= startEngine()
        return engine
      },
    },
    async cache() {
      const create = !options.readOnly && !options.offline
      // Read in the pauses that opening the cache makes: whoever needs it meets its error.
      if (create) load().catch(() => {})
      try {
        return await openCache({
          cacheDir,
          mode,
          env,
          readOnly: options.readOnly,
          create,
          warn: progress.warn,
        })
      } catch (error) {
        if (!options.offline || !isLongshoreError(error, 'NOT_FOUND')) throw error
        throw new LongshoreError('OFFLINE_MISSING', error.message, {
          path: error.path,
          cause: error,
          hint: 'run preload once with a network, or check --cache-dir',
        })
      }
    },
    async existingCache() {
      try {
        const found = await openCache({
          cacheDir,
          mode,
          env,
          readOnly: true,
          create: false,
          warn: progress.warn,
        })
        return { found, root: found.root }
      } catch (error) {
        if (isLongshoreError(error, 'NOT_FOUND') && error.path) return { found: undefined, root: error.path }
        throw error
      }
    },
    counts() {
      const all = { ...requests }
      for (const [kind, n] of Object.entries(opened?.stats.requests ?? {})) all[kind] = (all[kind] ?? 0) + n
      return { requests: all, retries: retries + (opened?.stats.retries ?? 0) }
    },
    async close() {
      await opened?.close()
    },
  }
}

function shareOf(node: RunOptions['node'], { env, progress }: RunContext): NodeShare | undefined {
  if (node !== 'auto') return node
  const share = nodeFromEnv(env)
  if (!share) progress.warn('--node auto: no launcher tells this node its share: all of it is fetched')
  return share
}
