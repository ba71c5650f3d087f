import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { link, open, opendir, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { unlessAborted } from '../unless-aborted.ts'
import { allOf } from './all-of.ts'
import { errorCode } from './error-code.ts'

/**
 * Writes that survive a power cut: data is on the disk before its name is, and the name is on the disk before
 * the call returns. All of them throw node's own errors (ENOSPC, EACCES …) with `path` set.
 */

/**
 * Replaces or makes `path` with `data`, whole: readers see the old file or the new one. The temporary file
 * beside it is removed when anything fails.
 */
export async function writeFileDurable(
  path: string,
  data: string | Uint8Array,
  options: { mode?: number; owner?: { uid: number; gid: number } | undefined } = {},
): Promise<void> {
  const temp = tempBeside(path)
  try {
    const file = await open(temp, 'wx', 0o600)
    try {
      await file.writeFile(data)
      if (options.owner) await file.chown(options.owner.uid, options.owner.gid)
      // Not by open()'s mode: the umask would take bits away that a group cache needs.
      await file.chmod(options.mode ?? 0o644)
      await file.sync()
    } finally {
      await file.close()
    }
    await renameDurable(temp, path)
  } catch (error) {
    await unlink(temp).catch(() => {})
    throw error
  }
}

/** A name beside `path` that nobody else uses, short enough for any name that was. */
function tempBeside(path: string): string {
  const name = Buffer.from(basename(path))
    .subarray(0, 200)
    .toString('latin1')
    .replaceAll(/[^\w.-]/g, '_')
  return join(dirname(path), `.${name}.${randomBytes(6).toString('hex')}.tmp`)
}

/** rename(2), then both folders synced. The data of `from` must have been synced before. */
export async function renameDurable(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncDir(dirname(to))
  if (dirname(from) !== dirname(to)) await syncDir(dirname(from))
}

/** link(2), then the folder synced. Throws EEXIST when `to` is taken: nothing is ever replaced. */
export async function linkDurable(from: string, to: string): Promise<void> {
  await link(from, to)
  await syncDir(dirname(to))
}

/** unlink(2), then the folder synced. A missing file is no error: it is gone, which is what was asked. */
export async function removeDurable(path: string): Promise<void> {
  try {
    await unlink(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
  await syncDirIfThere(dirname(path))
}

/** syncDir() of a folder that may have been removed meanwhile: then nothing in it is left to sync. */
export async function syncDirIfThere(path: string): Promise<void> {
  try {
    await syncDir(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

/** fsync(2) of a folder: the names in it are on the disk. Filesystems that can't (EINVAL) are left alone. */
export async function syncDir(path: string): Promise<void> {
  const dir = await open(path, 'r')
  try {
    await dir.sync()
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EISDIR'].includes(errorCode(error) ?? '')) throw error
  } finally {
    await dir.close()
  }
}

/** fsync(2) of a file that someone else wrote. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Everything below `path` is on the disk: one syncfs(2) by coreutils' `sync -f` instead of an fsync a file.
 * Where that tool is missing or refuses, each file and folder is synced in turn. Rejects with the signal's reason.
 */
export async function syncFilesystem(path: string, options: { signal?: AbortSignal } = {}): Promise<void> {
  options.signal?.throwIfAborted()
  if (await syncByTool(path, options.signal)) return
  options.signal?.throwIfAborted()
  await syncTree(path, options.signal)
}

/**
 * The same for folders of few files, and for the names of the folders above them on their filesystem, file by file: no
 * process is started, and nothing is waited for that others write there. Rejects with the signal's reason, also while
 * a disk does not answer.
 */
export async function syncFew(
  paths: readonly string[],
  { signal }: { signal?: AbortSignal } = {},
): Promise<void> {
  signal?.throwIfAborted()
  await unlessAborted(syncEach(paths, signal), signal)
}

async function syncEach(paths: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  await allOf([...paths.map((path) => syncTree(path, signal)), syncAbove(paths)])
}

/** The names of these paths and of the folders above them up to `top` are on the disk, if that is one filesystem. */
export async function syncAbove(paths: readonly string[], top = '/'): Promise<void> {
  const above = new Set((await Promise.all(paths.map((path) => foldersAbove(path, top)))).flat())
  // What may not even be opened was made by somebody else, and before.
  await allOf([...above].map((folder) => syncDir(folder).catch(unlessRefused)))
}

async function foldersAbove(path: string, top: string): Promise<string[]> {
  const { dev } = await stat(path)
  const above: string[] = []
  for (let at = path; at !== dirname(at) && at !== top; ) {
    at = dirname(at)
    if ((await stat(at)).dev !== dev) break
    above.push(at)
  }
  return above
}

function unlessRefused(error: unknown): void {
  if (!['EACCES', 'EPERM'].includes(errorCode(error) ?? '')) throw error
}

function syncByTool(path: string, signal: AbortSignal | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn('sync', ['-f', '--', path], { stdio: 'ignore', ...(signal ? { signal } : {}) })
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  })
}

async function syncTree(path: string, signal: AbortSignal | undefined): Promise<void> {
  for await (const entry of await opendir(path)) {
    signal?.throwIfAborted()
    const child = join(path, entry.name)
    if (entry.isDirectory()) await syncTree(child, signal)
    else if (entry.isFile()) await syncFile(child)
  }
  await syncDir(path)
}
