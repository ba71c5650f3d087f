import { randomBytes } from 'node:crypto'
import { link, lstat, mkdir, readdir, readlink, rm, unlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isLongshoreError, LongshoreError } from '../errors.ts'
import { syncDir, writeFileDurable } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { STATE_FOLDER } from '../manifest/checkpoint.ts'
import { insideTarget } from './inside-target.ts'
import type { Candidate } from './layouts/layout.ts'
import { identityOf } from './scan-settled.ts'
import type { FileRecord } from './scan-tree.ts'
import { encodeStageRecord, STAGE_RECORD } from './stage-record.ts'
import type { StagedCheckpoint, StagedFile } from './types.ts'

/** A checkpoint that is held: `checkpoint.files[].staged` stay what they are whatever the writer removes. */
export interface Staged {
  checkpoint: StagedCheckpoint
  /** DIR/.longshore/stage/<nonce>; undefined: no hard links here, it is read in place. */
  folder: string | undefined
  identity: string
  bytes: number
  /** ctime and link count when it was staged: a rewrite that restores size and mtime still moves the ctime. */
  stamps: Map<string, { ctimeNs: bigint; nlink: bigint }>
}

export interface StageOptions {
  /** DIR, absolute. */
  dir: string
  layout: string
  ordinal: number
  /** The destination's URL, and the writer's epoch there: tells what an overtaken attempt left from our own. */
  run: string
  epoch: number
  signal?: AbortSignal | undefined
  /** Test seam: link(2). */
  linkFile?: ((from: string, to: string) => Promise<void>) | undefined
}

const LINKS_AT_ONCE = 64
/** link(2) says: not on this filesystem, not this owner's file (fs.protected_hardlinks), too many links. */
const NO_LINKS = ['EXDEV', 'EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']

export function stageRoot(dir: string): string {
  return join(dir, STATE_FOLDER, 'stage')
}

/**
 * Holds a complete checkpoint by hard links, so that the writer's rotation can't take it away. Undefined when it
 * changed or went while that was done: nothing is held then. The record is written last: a folder without one is
 * the rest of a run that died here.
 */
export async function stageCheckpoint(
  candidate: Candidate,
  options: StageOptions,
): Promise<Staged | undefined> {
  const folder = join(stageRoot(options.dir), randomBytes(8).toString('hex'))
  // Not recursive from the top: a DIR that is removed or unmounted now must not be made anew under its mount point.
  for (const each of [join(options.dir, STATE_FOLDER), stageRoot(options.dir), folder]) {
    await mkdir(each).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
  }
  const staged = describeCandidate(candidate, options)
  try {
    await eachFile(staged, options, async (file, at) => {
      const held = join(folder, String(at))
      await (options.linkFile ?? link)(file.staged, held)
      file.staged = held
    })
    if (!(await settleStamps(staged, candidate, options))) return await discard(folder)
    await syncDir(folder)
    await writeFileDurable(join(folder, STAGE_RECORD), encodeStageRecord(staged.checkpoint, options))
    await syncDir(stageRoot(options.dir))
    return { ...staged, folder }
  } catch (error) {
    const gone = isLongshoreError(error, 'SOURCE_CHANGED')
    if (!gone && !NO_LINKS.includes(errorCode(error) ?? '')) {
      await discard(folder)
      if (error instanceof LongshoreError || options.signal?.aborted) throw error
      throw new LongshoreError(
        'LOCAL_IO',
        `${candidate.name} can not be staged: ${String(errorCode(error) ?? error)}`,
        {
          path: folder,
          cause: error,
        },
      )
    }
    await discard(folder)
    if (gone) return undefined
  }
  const inPlace = describeCandidate(candidate, options)
  return (await settleStamps(inPlace, candidate, options)) ? inPlace : undefined
}

/** A candidate as if it were staged, read in place: for asking whether it is committed already. */
export function describeCandidate(
  candidate: Candidate,
  options: { dir: string; layout: string; ordinal: number },
): Staged {
  const describe = ({ path, record }: { path: string; record: FileRecord }): StagedFile => ({
    path,
    staged: join(options.dir, path),
    size: record.size,
    mode: record.mode,
    mtimeNs: String(record.mtimeNs),
    inode: String(record.inode),
    ...(record.symlink === undefined ? {} : { symlink: record.symlink }),
  })
  const files = [...candidate.files, ...candidate.links].map(describe)
  return {
    checkpoint: {
      name: candidate.name,
      step: candidate.step,
      layout: options.layout,
      ordinal: options.ordinal,
      files: files.sort((a, b) => (a.path < b.path ? -1 : 1)),
      pointers: candidate.pointers,
    },
    folder: undefined,
    identity: identityOf(candidate),
    bytes: files.reduce((sum, file) => sum + file.size, 0),
    stamps: new Map(),
  }
}

/** Whether what is held is still what was judged complete. A rewrite in place shows through a hard link. */
export async function isStagedWhole(staged: Staged): Promise<boolean> {
  let whole = true
  await eachFile(staged, {}, async (file) => {
    if (!whole) return
    const found = await lstat(file.staged, { bigint: true }).catch(() => undefined)
    whole = found !== undefined && isSame(file, found)
    const stamp = staged.stamps.get(file.path)
    // Names that come and go move the ctime too, and the link count with it: then it proves nothing.
    if (found && stamp && found.nlink === stamp.nlink && found.ctimeNs !== stamp.ctimeNs) whole = false
  })
  return whole
}

/** Lets a checkpoint go: its record first, so that a crash in between leaves rubbish and no half checkpoint. */
export async function unstage(staged: Staged): Promise<void> {
  if (staged.folder === undefined) return
  await unlink(join(staged.folder, STAGE_RECORD)).catch(() => undefined)
  await rm(staged.folder, { recursive: true, force: true })
}

/** Bytes that only the stage still holds: the writer has removed its own names. */
export async function pinnedBytes(staged: Staged): Promise<number> {
  if (staged.folder === undefined) return 0
  let bytes = 0
  await eachFile(staged, {}, async (file) => {
    const found = await lstat(file.staged).catch(() => undefined)
    if (found?.nlink === 1) bytes += file.size
  })
  return bytes
}

/** Removes stage folders without a place in `keep` (folder paths). */
export async function cleanStage(dir: string, keep: ReadonlySet<string>): Promise<void> {
  const root = stageRoot(dir)
  for (const name of await readdir(root).catch(() => [])) {
    const folder = join(root, name)
    if (!keep.has(folder)) await discard(folder)
  }
}

async function discard(folder: string): Promise<undefined> {
  await unlink(join(folder, STAGE_RECORD)).catch(() => undefined)
  await rm(folder, { recursive: true, force: true })
}

/** Compares what is held with what was scanned, and notes its stamps: our own link has moved the ctime. */
async function settleStamps(
  staged: Staged,
  candidate: Candidate,
  options: { dir: string; signal?: AbortSignal | undefined },
): Promise<boolean> {
  let whole = true
  const top = resolve(options.dir)
  await eachFile(staged, options, async (file) => {
    const found = await lstat(file.staged, { bigint: true }).catch(() => undefined)
    if (found === undefined || !isSame(file, found)) whole = false
    else staged.stamps.set(file.path, { ctimeNs: found.ctimeNs, nlink: found.nlink })
  })
  for (const { path, record } of [...candidate.files, ...candidate.links]) {
    if (record.symlink === undefined || !whole) continue
    const target = await readlink(join(top, path)).catch(() => undefined)
    if (target === undefined || insideTarget(top, path, target) !== record.symlink) whole = false
  }
  return whole
}

function isSame(file: StagedFile, found: { size: bigint; mtimeNs: bigint; ino: bigint; isFile(): boolean }) {
  return (
    found.isFile() &&
    Number(found.size) === file.size &&
    String(found.mtimeNs) === file.mtimeNs &&
    String(found.ino) === file.inode
  )
}

async function eachFile(
  staged: Staged,
  options: { signal?: AbortSignal | undefined },
  each: (file: StagedFile, at: number) => Promise<void>,
): Promise<void> {
  const files = staged.checkpoint.files.entries()
  const lane = async (): Promise<void> => {
    for (const [at, file] of files) {
      options.signal?.throwIfAborted()
      if (file.symlink !== undefined) continue
      try {
        await each(file, at)
      } catch (error) {
        if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error
        throw new LongshoreError('SOURCE_CHANGED', `${file.path} went away`, {
          path: file.path,
          cause: error,
        })
      }
    }
  }
  // Every lane ends before anything is removed: a late link would put a file into a folder that is being cleared.
  const ended = await Promise.allSettled(Array.from({ length: LINKS_AT_ONCE }, lane))
  for (const each of ended) if (each.status === 'rejected') throw each.reason
}
