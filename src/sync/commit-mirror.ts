import type { Progress } from '../progress.ts'
import { inTurn, type LogWriter } from './epoch.ts'
import { fingerprint } from './log-state.ts'

/**
 * Copies the newest commit's pointer files to their own paths, for other S3 tools: `restore` reads them from the
 * commit. What fails is a warning and stays for the next call. Never over an object that a commit names.
 */
export async function mirrorPointers(
  writer: LogWriter,
  options: { signal: AbortSignal; progress: Progress },
): Promise<void> {
  await inTurn(writer, async () => {
    for (const [path, bytes] of [...writer.unmirrored]) {
      const why = mayMirror(writer, path) ? await mirror(writer, path, bytes, options.signal) : 'taken'
      if (why === undefined || why === 'taken') writer.unmirrored.delete(path)
      if (why === 'taken')
        options.progress.warn(`${path} is not mirrored: a checkpoint has data at its path`, { path })
      else if (why !== undefined) options.progress.warn(`${path} is not mirrored yet: ${why}`, { path })
    }
  })
}

/** Whether an unconditional write to this path (relative to the prefix) can hurt no checkpoint, past or coming. */
export function mayMirror(writer: LogWriter, path: string): boolean {
  return !writer.names.has(fingerprint(path)) && !writer.pins.has(path)
}

/** What went wrong, if anything did: the commit is there all the same. */
async function mirror(
  writer: LogWriter,
  path: string,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    await writer.engine.writeDocument(writer.store, writer.prefix + path, bytes, { signal })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
