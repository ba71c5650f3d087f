import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CommandContext } from '../commands/context.ts'
import type { DemoFacts, DemoOptions, DemoReport, DemoStep, StepName } from '../commands/demo.ts'
import type { PackReport } from '../commands/pack.ts'
import { LongshoreError } from '../errors.ts'
import { sameFolder, writeCheckpoint } from './checkpoints.ts'
import { contextFor } from './context.ts'
import { leftOut, listLeft } from './left-out.ts'
import { makeFiles } from './make-files.ts'
import { PACK_OPTIONS, PRELOAD_OPTIONS, RESTORE_OPTIONS, SYNC_OPTIONS } from './options.ts'
import { countFiles, uploadFiles } from './upload-files.ts'
import { verifyDataset } from './verify-dataset.ts'

const BUCKET = 'demo'
const PACKED_KEY = 'packed/v1/'
const PACKED = `s3://${BUCKET}/${PACKED_KEY}`
const RUN = `s3://${BUCKET}/runs/r1/`
const STEPS = [100, 200, 300]

/** Runs every step in `folder`; the caller makes and removes it. */
export async function runDemo(
  folder: string,
  source: string | undefined,
  options: DemoOptions,
  outer: CommandContext,
): Promise<DemoReport> {
  const began = performance.now()
  const { startDevServer } = await import('../devserver/server.ts')
  const server = await startDevServer({ dir: join(folder, 'server'), buckets: [BUCKET] })
  try {
    const steps: DemoStep[] = []
    const { signal, progress } = outer
    // Whatever the user's environment says, nothing but the loopback server is talked to.
    const context = contextFor(server, folder, outer)
    const step = async <T>(
      name: StepName,
      run: () => Promise<{ facts: DemoFacts; value: T }>,
    ): Promise<T> => {
      signal.throwIfAborted()
      const from = performance.now()
      progress.phase(name)
      const { facts, value } = await run()
      const done = { name, facts, seconds: (performance.now() - from) / 1000 }
      steps.push(done)
      options.onStep(done)
      return value
    }
    const home = source ?? join(folder, 'files')

    if (source === undefined) {
      await step('files', async () => {
        progress.expect({ objects: options.files })
        const onFile = (size: number): void => progress.done({ objects: 1, bytes: size })
        const size = await makeFiles(home, { count: options.files, signal, onFile })
        return { facts: { files: options.files, bytes: size }, value: size }
      })
      await step('upload', async () => {
        const put = await upload(home, context)
        return { facts: put, value: put }
      })
    }

    server.requests.clear()
    const packed = await step('pack', async () => {
      const { pack } = await import('../commands/pack.ts')
      const from = source ?? `s3://${BUCKET}/raw/`
      const report = await pack({ ...PACK_OPTIONS, source: from, destination: PACKED }, context)
      return { facts: packFacts(report), value: report }
    })

    server.requests.clear()
    const cache = { cacheDir: join(folder, 'cache'), cacheMode: 'private' as const }
    const loaded = await step('preload', async () => {
      const { preload } = await import('../commands/preload.ts')
      const report = await preload({ ...PRELOAD_OPTIONS, ...cache, sources: [PACKED] }, context)
      const [one] = report.sources
      if (one === undefined) throw new LongshoreError('INTERNAL', 'preload reported no folder')
      const gets = server.requests.count('GetObject')
      return { facts: { files: one.files, bytes: one.bytes, gets }, value: { ...one, gets } }
    })

    const verified = await step('verify', async () => {
      progress.expect({ objects: packed.objects })
      const onFile = (size: number): void => progress.done({ objects: 1, bytes: size })
      const found = await verifyDataset(loaded.path, home, { signal, onFile })
      if (found.wrong.length > 0) {
        throw new LongshoreError('INTEGRITY', `${found.wrong[0]} differs from its source`, {
          path: loaded.path,
        })
      }
      const there = await countFiles(home)
      if (there !== found.files + packed.leftCount) {
        const told = `${found.files} packed and ${packed.leftCount} left out`
        throw new LongshoreError('INCOMPLETE', `${there} files in the source, but ${told}`, { path: home })
      }
      const { files, samples, shards, bytes } = found
      return { facts: { files, samples, shards, bytes }, value: found }
    })

    await checkpoints(folder, context, step)

    await step('evict', async () => {
      const { release } = await import('../commands/release.ts')
      const { evict } = await import('../commands/evict.ts')
      await release({ ...cache, id: loaded.path }, context)
      const report = await evict({ ...cache, maxSize: { bytes: 0 }, grace: 0 }, context)
      if (!report.withinLimits) throw new LongshoreError('OVER_LIMIT', 'evict left the cache over its limit')
      return {
        facts: { bytes: report.before - report.after, datasets: report.evicted.length },
        value: report,
      }
    })

    const list =
      packed.leftList === undefined ? undefined : server.objects.get(BUCKET, PACKED_KEY + packed.leftList)
    const left = await leftOut(listLeft(packed, list), options.keep ? folder : undefined, outer.env)
    return {
      steps,
      requests: { raw: verified.files, packed: loaded.gets },
      files: { found: verified.files + packed.leftCount, packed: verified.files, verified: verified.files },
      left,
      seconds: (performance.now() - began) / 1000,
      folder: options.keep ? folder : undefined,
      exit: left.count > 0 ? 3 : 0,
    }
  } finally {
    await server.close()
  }
}

type Step = <T>(name: StepName, run: () => Promise<{ facts: DemoFacts; value: T }>) => Promise<T>

async function checkpoints(folder: string, context: CommandContext, step: Step): Promise<void> {
  const dir = join(folder, 'ckpt')
  const fresh = join(folder, 'next-attempt')
  await mkdir(dir)
  const last = await step('sync', async () => {
    const { sync } = await import('../commands/sync.ts')
    let name = ''
    let size = 0
    for (const number of STEPS) {
      name = await writeCheckpoint(dir, number)
      const report = await sync({ ...SYNC_OPTIONS, dir, destination: RUN }, context)
      if (report.exit !== 0 || !report.committed.some((one) => one.name === name)) {
        throw new LongshoreError('NOT_DRAINED', `${name} was not committed`, { path: dir })
      }
      size += report.bytes
    }
    return { facts: { checkpoints: STEPS.length, bytes: size }, value: name }
  })
  await step('restore', async () => {
    const { restore } = await import('../commands/restore.ts')
    const report = await restore({ ...RESTORE_OPTIONS, source: RUN, dir: fresh }, context)
    const name = report.checkpoint?.name ?? 'nothing'
    if (name !== last || report.path === undefined || !(await sameFolder(join(dir, last), report.path))) {
      throw new LongshoreError('INTEGRITY', `restored ${name}, which is not ${last} as it was written`, {
        path: fresh,
      })
    }
    return { facts: { name, files: report.files, bytes: report.bytes }, value: report }
  })
}

async function upload(home: string, context: CommandContext): Promise<{ files: number; bytes: number }> {
  const { signal, progress } = context
  const { openStore } = await import('../s3/open.ts')
  const { openEngine } = await import('../transfer/engine.ts')
  const location = { kind: 's3' as const, bucket: BUCKET, prefix: 'raw/' }
  const { store, prefix } = await openStore(location, context.s3, { env: { ...context.env }, signal })
  const engine = openEngine({ ...context.engine, signal, onRetry: progress.retry })
  try {
    const onDone = (size: number): void => progress.done({ objects: 1, bytes: size })
    const onFound = (size: number): void => progress.expect({ objects: 1, bytes: size })
    return await uploadFiles(home, { engine, store, prefix, signal, onFound, onDone })
  } finally {
    await engine.close()
    await store.close()
  }
}

function packFacts(report: PackReport): DemoFacts {
  const sum = (pick: (split: PackReport['splits'][number]) => number): number =>
    report.splits.reduce((total, split) => total + pick(split), 0)
  return {
    objects: report.objects,
    samples: sum((split) => split.samples),
    shards: sum((split) => split.shards),
    bytes: sum((split) => split.bytes),
    left: report.leftCount,
  }
}
