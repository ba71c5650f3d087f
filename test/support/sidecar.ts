import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { LongshoreError } from '../../src/errors.ts'
import type { Progress } from '../../src/progress.ts'
import { SILENT } from '../../src/progress.ts'
import { createDrain, type Drain } from '../../src/sync/drain.ts'
import { openLog } from '../../src/sync/log.ts'
import { runSidecar, type SidecarOptions, type SidecarResult } from '../../src/sync/sidecar.ts'
import { type MemoryBucket, memoryEngine, memoryStore, type Turn } from './memory-store.ts'

export const RUN = 'runs/r1/'

export interface TestSidecar {
  done: Promise<SidecarResult>
  drain: Drain
  warnings: string[]
  items: { kind: string; fields: Record<string, unknown> }[]
  /** Resolves when an item of this kind (and name) has been told, or was already. */
  told(kind: string, name?: string): Promise<void>
  warned(pattern: RegExp): Promise<void>
}

/** A sidecar over a bucket in memory: fast scans, no filesystem events unless asked for. */
export async function startSidecar(
  dir: string,
  bucket: MemoryBucket,
  options: Partial<SidecarOptions> & { turn?: Turn } = {},
): Promise<TestSidecar> {
  const { turn, ...rest } = options
  const drain = createDrain()
  const warnings: string[] = []
  const items: TestSidecar['items'] = []
  const watchers = new Set<() => void>()
  const changed = (): void => {
    for (const watcher of [...watchers]) watcher()
  }
  const until = (holds: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const check = (): void => {
        if (!holds()) return
        watchers.delete(check)
        resolve()
      }
      watchers.add(check)
      check()
    })
  const progress: Progress = {
    ...SILENT,
    warn(message) {
      warnings.push(message)
      changed()
    },
    item(kind, fields) {
      items.push({ kind, fields })
      changed()
    },
  }
  const place = { engine: memoryEngine(), store: memoryStore(bucket, turn), prefix: RUN }
  const log = await openLog(place, { signal: new AbortController().signal })
  const done = runSidecar({
    dir,
    log,
    conditional: 'all',
    progress,
    drain,
    once: false,
    layout: 'auto',
    settle: 60,
    scanInterval: 20,
    watch: false,
    ...rest,
  }).finally(() => drain.dispose())
  done.catch(() => undefined)
  return {
    done,
    drain,
    warnings,
    items,
    told: (kind, name) =>
      until(() =>
        items.some((each) => each.kind === kind && (name === undefined || each.fields.name === name)),
      ),
    warned: (pattern) => until(() => warnings.some((each) => pattern.test(each))),
  }
}

/** Calls on keys that match fail while `on` holds. */
export function failing(match: RegExp): { turn: Turn; on: boolean; calls: number } {
  const state = {
    on: true,
    calls: 0,
    turn: (async (moment, call) => {
      if (moment !== 'before' || !state.on || !match.test(call.key)) return undefined
      state.calls += 1
      throw new LongshoreError('UNREACHABLE', `${call.key}: connection refused`)
    }) as Turn,
  }
  return state
}

/** Drains without a limit and gives the result. */
export async function finish(sidecar: TestSidecar): Promise<SidecarResult> {
  sidecar.drain.begin({ final: true })
  return await sidecar.done
}

export function putTree(dir: string, tree: Record<string, string>): void {
  for (const [path, text] of Object.entries(tree)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true })
    writeFileSync(join(dir, path), text)
  }
}
