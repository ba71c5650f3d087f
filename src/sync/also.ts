import { posix } from 'node:path'
import type { Progress } from '../progress.ts'
import { copyUp } from './also-copy.ts'
import type { LogWriter } from './epoch.ts'
import { fingerprint } from './log-state.ts'
import { type FileRecord, filesOf, type Tree } from './scan-tree.ts'
import type { Say } from './sidecar-say.ts'

/** ms: a log that never stands still is copied this often all the same. */
const RESTLESS = 60_000

export interface AlsoOptions {
  dir: string
  writer: LogWriter
  also(path: string): boolean
  settle: number
  partSize: number
  progress: Progress
  say: Say
}

export interface Also {
  /** Copies what matches, changed and stands still (`all`: changed). A failure is a warning and tried again. */
  copy(
    tree: Tree,
    options: { all: boolean; holds(path: string): boolean; signal: AbortSignal },
  ): Promise<void>
}

/** `--also`: logs and the like, copied to their path under DST whenever they changed. In no commit. */
export function createAlso(options: AlsoOptions): Also {
  const { writer, say } = options
  const copied = new Map<string, { record: FileRecord; at: number }>()

  /** Bytes that a commit refers to, or may once have, are never replaced. */
  function isTaken(path: string): boolean {
    // Pins: an upload in progress may be about to name it.
    return writer.names.has(fingerprint(path)) || writer.pins.has(path) || writer.pointerPaths.has(path)
  }

  return {
    async copy(tree, { all, holds, signal }) {
      for (const { path, record } of filesOf(tree.root)) {
        if (record.symlink !== undefined || !options.also(path) || holds(path)) continue
        const before = copied.get(path)
        if (before?.record === record) continue
        const still = tree.at - record.changedAt >= options.settle
        const overdue = tree.at - (before?.at ?? record.changedAt) >= RESTLESS
        if (!all && !still && !overdue) continue
        if (isTaken(path)) {
          say.once(`${path} is not copied: a checkpoint has its place in the bucket`, { path })
          continue
        }
        signal.throwIfAborted()
        try {
          await copyUp(writer, {
            path: posix.join(options.dir, path),
            key: writer.prefix + path,
            size: record.size,
            partSize: options.partSize,
            signal,
          })
          copied.set(path, { record, at: tree.at })
          options.progress.item('copied', { path, bytes: record.size })
        } catch (error) {
          if (signal.aborted) throw error
          say.failure(`${path} is not copied yet`, error)
        }
      }
    },
  }
}
