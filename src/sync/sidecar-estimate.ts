import { setTimeout as sleep } from 'node:timers/promises'
import type { Progress } from '../progress.ts'
import type { CheckpointLog } from './log.ts'
import { createScanner } from './scan.ts'
import { createJudge, type Judged, type JudgeOptions } from './sidecar-judge.ts'
import { describeCandidate } from './stage.ts'

/** Requests and bytes; a command's estimate has the same shape. */
export interface SyncEstimate {
  list: number
  get: number
  put: number
  bytes: number
  /** bytes of local disk: none, hard links take no space */
  disk: number
}

export interface EstimateSyncOptions extends Omit<JudgeOptions, 'also' | 'rescan'> {
  also?: ((path: string) => boolean) | undefined
  /** ms */
  scanInterval: number
  log: CheckpointLog
  progress: Progress
  partSize?: number | undefined
  signal: AbortSignal
}

/**
 * What `sync --once` would commit now. Looks at DIR until its checkpoints have stood still for long enough; no
 * lock, no stage, nothing written. What is committed is told by name and size.
 */
export async function estimateSync(
  options: EstimateSyncOptions,
): Promise<{ pending: string[]; estimate: SyncEstimate }> {
  const { dir, log, progress, signal, partSize = 16 * 1024 * 1024 } = options
  const rescan = Math.min(options.scanInterval, 1_000)
  const onOdd = (path: string, why: string): void => progress.warn(`${path} ${why}`, { path })
  const scanner = createScanner(dir, { onOdd })
  const judge = createJudge({ ...options, also: options.also ?? (() => false), rescan })
  let judged: Judged | undefined
  const until = performance.now() + options.settle + 3 * rescan
  for (let passes = 0; passes < 3 || (judged?.unsettled.length && performance.now() < until); passes++) {
    if (passes > 0) await sleep(rescan, undefined, { signal })
    const tree = await scanner.scan({ signal, full: true })
    if (tree === undefined) {
      progress.warn(`${dir} is not there`, { path: dir })
      break
    }
    judged = await judge.judge(tree, new Map(), { final: false })
    if (passes > 0 && judged.unsettled.length === 0) break
  }
  const estimate: SyncEstimate = { list: 1, get: log.seq, put: 0, bytes: 0, disk: 0 }
  const pending: string[] = []
  for (const candidate of judged?.ready ?? []) {
    const { checkpoint, bytes } = describeCandidate(candidate, {
      dir,
      layout: judged?.layout ?? '',
      ordinal: 0,
    })
    const files = checkpoint.files.length + checkpoint.pointers.length
    const known = [...log.commits.values()].some(
      (head) => head.name === checkpoint.name && head.bytes === bytes && head.files === files,
    )
    if (known) continue
    pending.push(checkpoint.name)
    progress.item('would-commit', { name: checkpoint.name, step: checkpoint.step, bytes, files })
    estimate.bytes += bytes
    for (const file of checkpoint.files) {
      // Above one part: the parts, and the two requests around them.
      if (file.symlink === undefined)
        estimate.put += file.size <= partSize ? 1 : Math.ceil(file.size / partSize) + 2
    }
    estimate.put += checkpoint.pointers.length + 1
  }
  return { pending, estimate }
}
