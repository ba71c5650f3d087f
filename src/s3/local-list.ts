import type { BigIntStats, Dirent } from 'node:fs'
import { lstat, opendir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import { localError, STATE_FOLDER } from './local-path.ts'
import type { ListedObject, ListOptions, ListPage, SkippedObject } from './store.ts'

const PAGE_OBJECTS = 1000
/** U+FFFD: what node puts where a name is not UTF-8. */
const REPLACEMENT = '�'

/**
 * The files below `root` as pages of a listing, depth first, in the folder's own order. One open folder a level
 * and one page are held, whatever the size of the tree. What can't be an object is in `skipped`, with its reason.
 */
export async function* listLocal(
  root: string,
  options: ListOptions,
): AsyncGenerator<ListPage, void, undefined> {
  const { prefix, delimiter, startAfter, signal } = options
  let page = emptyPage()
  for await (const found of walk({ root, prefix, oneLevel: delimiter === '/', signal })) {
    if ('folder' in found) page.folders.push(found.folder)
    else if ('reason' in found) page.skipped.push(found)
    else if (startAfter === undefined || isAfter(found.key, startAfter)) page.objects.push(found)
    if (page.objects.length + page.folders.length + page.skipped.length >= PAGE_OBJECTS) {
      yield page
      page = emptyPage()
    }
  }
  yield page
}

/** With its quotes: changes whenever size, modification time or inode do. */
export function localEtag(stats: BigIntStats): string {
  return `"${stats.size.toString(16)}-${stats.mtimeNs.toString(16)}-${stats.ino.toString(16)}"`
}

export function listedFrom(key: string, stats: BigIntStats): ListedObject {
  return { key, size: Number(stats.size), etag: localEtag(stats), modified: Number(stats.mtimeMs) }
}

type Found = ListedObject | SkippedObject | { folder: string }

async function* walk(about: {
  root: string
  prefix: string
  oneLevel: boolean
  signal?: AbortSignal | undefined
}): AsyncGenerator<Found, void, undefined> {
  const { root, prefix, oneLevel, signal } = about
  // A prefix need not end at a folder: the tree is entered at its last '/', names are compared from there.
  const base = prefix.slice(0, prefix.lastIndexOf('/') + 1)
  if (base.split('/').some((s, i, all) => s === '..' || s === '.' || (s === '' && i < all.length - 1))) return
  const stack = [await openFolder(root, base)]
  try {
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      signal?.throwIfAborted()
      const entry = await top.read()
      if (entry === null) {
        stack.pop()
        continue
      }
      const key = top.base + entry.name
      if (isOwn(key, prefix) || !(key.startsWith(prefix) || `${key}/`.startsWith(prefix))) continue
      if (entry.isDirectory()) {
        if (await isMisread(root, key)) yield { key, reason: 'the name is not UTF-8' }
        else if (oneLevel && `${key}/` !== prefix) yield { folder: `${key}/` }
        else stack.push(await openFolder(root, `${key}/`))
      } else {
        const found = await judge(root, key, entry)
        if (found !== undefined) yield found
      }
    }
  } finally {
    for (const folder of stack) await folder.close()
  }
}

interface OpenFolder {
  base: string
  read(): Promise<Dirent | null>
  close(): Promise<void>
}

async function openFolder(root: string, base: string): Promise<OpenFolder> {
  const path = join(root, base)
  try {
    const dir = await opendir(path, { bufferSize: 256 })
    let open = true
    const close = async () => {
      if (!open) return
      open = false
      await dir.close()
    }
    return {
      base,
      async read() {
        const entry = await dir.read()
        if (entry === null) await close()
        return entry
      },
      close,
    }
  } catch (error) {
    const missing = errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR'
    // A prefix that holds nothing is an empty listing, as in a bucket; a root that is not there is a mistake.
    if (missing && base !== '') return { base, read: async () => null, close: async () => {} }
    if (errorCode(error) === 'ENOTDIR' && base === '')
      throw new LongshoreError('BAD_URI', `${path}: not a folder`, { path, hint: 'give the folder it is in' })
    throw localError(error, path)
  }
}

/** Longshore's own state is no data of the user's, unless it is asked for by name. */
function isOwn(key: string, prefix: string): boolean {
  return key === STATE_FOLDER && !prefix.startsWith(`${STATE_FOLDER}/`)
}

/** A name that node could not decode does not exist in the form it was given to us. */
async function isMisread(root: string, key: string): Promise<boolean> {
  if (!key.includes(REPLACEMENT)) return false
  return lstat(join(root, key)).then(
    () => false,
    () => true,
  )
}

async function judge(root: string, key: string, entry: Dirent): Promise<Found | undefined> {
  if (await isMisread(root, key)) return { key, reason: 'the name is not UTF-8' }
  const path = join(root, key)
  try {
    if (entry.isSymbolicLink()) return await followLink(root, key)
    const stats = await lstat(path, { bigint: true })
    return stats.isFile() ? listedFrom(key, stats) : { key, reason: `a ${kindOf(stats)}, not a file` }
  } catch (error) {
    // Gone between the folder's read and this look: as if it had never been listed.
    if (errorCode(error) === 'ENOENT') return undefined
    throw localError(error, path)
  }
}

async function followLink(root: string, key: string): Promise<Found> {
  const path = join(root, key)
  try {
    const target = await realpath(path)
    const top = await realpath(root)
    if (target !== top && !target.startsWith(top === sep ? sep : top + sep)) {
      return { key, reason: 'a link that leads out of the folder' }
    }
    const stats = await stat(path, { bigint: true })
    if (stats.isFile()) return listedFrom(key, stats)
    return { key, reason: `a link to a ${kindOf(stats)}` }
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { key, reason: 'a link to nothing' }
    if (errorCode(error) === 'ELOOP') return { key, reason: 'a link that leads back to itself' }
    if (errorCode(error) === 'EACCES') return { key, reason: 'a link whose target may not be read' }
    throw localError(error, path)
  }
}

function kindOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return 'folder'
  if (stats.isFIFO()) return 'pipe'
  if (stats.isSocket()) return 'socket'
  return 'device'
}

/** S3's StartAfter compares keys as bytes of UTF-8, which JavaScript's `<` does not. */
function isAfter(key: string, after: string): boolean {
  return Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0
}

function emptyPage(): { objects: ListedObject[]; folders: string[]; skipped: SkippedObject[] } {
  return { objects: [], folders: [], skipped: [] }
}
