import { randomBytes } from 'node:crypto'
import { access, chmod, constants, lstat, readFile, rm, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import * as z from 'zod'
import { LongshoreError } from '../errors.ts'
import { allOf } from '../fs/all-of.ts'
import { linkDurable, syncDir, writeFileDurable } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { type Modes, makeFolder } from '../fs/make-folder.ts'
import { makePath } from '../fs/make-path.ts'
import { filesystemOf } from '../fs/space.ts'
import type { Progress } from '../progress.ts'
import { STATE_DIR, STATE_FOLDERS } from './paths.ts'
import type { Cache, CacheMode } from './types.ts'

export interface OpenCacheOptions {
  /** As given by flag, environment or config: then any filesystem is taken. undefined: XDG_CACHE_HOME/longshore, ~/.cache/longshore. */
  cacheDir?: string | undefined
  /** For a cache that is made now; an existing one keeps its own. */
  mode: CacheMode
  env: Readonly<Record<string, string | undefined>>
  /** false: a folder without a cache is NOT_FOUND. */
  create: boolean
  /** Nothing will be written. */
  readOnly?: boolean | undefined
  warn?: Progress['warn'] | undefined
}

/** `.longshore/cache.json`: the format of all the state beside it. */
const FORMAT = 1
const markSchema = z.looseObject({
  format: z.literal('longshore-cache'),
  version: z.number().int().positive(),
  mode: z.enum(['private', 'group', 'shared']),
})

/** Data is never writable: a write through one version's file would change another's, or a running job's. */
const MODES: Record<CacheMode, Cache['modes']> = {
  private: { dir: 0o700, file: 0o600, data: 0o400 },
  group: { dir: 0o2775, file: 0o664, data: 0o444 },
  shared: { dir: 0o755, file: 0o644, data: 0o444 },
}

/**
 * Opens the cache, making it where asked. LOCAL_IO: can't be written or made; UNSUPPORTED: the default folder is
 * on a network or overlay filesystem, or the cache was made by a newer longshore; USAGE: no folder to be found.
 */
export async function openCache(options: OpenCacheOptions): Promise<Cache> {
  const root = resolve(options.cacheDir ?? defaultFolder(options.env))
  const state = join(root, STATE_DIR)
  const readOnly = options.readOnly ?? false
  try {
    const unfit = await filesystemOf(await nearest(root))
    if (unfit !== undefined && options.cacheDir === undefined) {
      throw new LongshoreError('UNSUPPORTED', `the default cache folder ${root} is on ${unfit}`, {
        path: root,
        hint: 'name a folder on a local disk: --cache-dir DIR or LONGSHORE_CACHE_DIR (this one too, if it is meant)',
      })
    }
    let mode = await readMark(state)
    const known = mode !== undefined
    if (mode === undefined) {
      if (!options.create || readOnly) {
        throw new LongshoreError('NOT_FOUND', `there is no cache in ${root}`, {
          path: root,
          hint: 'check --cache-dir; `longshore preload` makes a cache',
        })
      }
      mode = await makeCache(root, state, options.mode)
    }
    const warn = options.warn ?? (() => {})
    if (unfit !== undefined) {
      warn(`the cache folder ${root} is on ${unfit}: locks and leases hold on this node only`, {
        path: root,
        hint: 'let no other node use this folder at the same time; a local disk is faster',
      })
    }
    const cache = { root, state, mode, modes: MODES[mode], readOnly, unfit, warn }
    if (!readOnly) {
      if (known) await makeFolders(cache, state)
      await allOf([
        ...['staging', 'trash'].map((folder) => checkFilesystem(root, join(state, folder))),
        ...['locks', 'datasets'].map((folder) =>
          access(join(state, folder), constants.W_OK | constants.X_OK),
        ),
      ])
    }
    return cache
  } catch (error) {
    if (error instanceof LongshoreError) throw error
    throw new LongshoreError('LOCAL_IO', `cannot use the cache folder ${root}: ${errorCode(error)}`, {
      path: root,
      hint: 'choose a folder you may write to, or one made with --cache-mode group for several users',
      cause: error,
    })
  }
}

/** Data comes from staging/ and leaves to trash/ by rename, which can't cross filesystems. */
async function checkFilesystem(root: string, folder: string): Promise<void> {
  if ((await stat(folder)).dev === (await stat(root)).dev) return
  throw new LongshoreError('UNSUPPORTED', `${folder} is on another filesystem than ${root}`, {
    path: folder,
    hint: 'keep the cache folder, its .longshore included, on one filesystem',
  })
}

function defaultFolder(env: OpenCacheOptions['env']): string {
  const xdg = env.XDG_CACHE_HOME
  // The XDG specification: a relative one is to be ignored.
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'longshore')
  if (env.HOME !== undefined && isAbsolute(env.HOME)) return join(env.HOME, '.cache', 'longshore')
  throw new LongshoreError('USAGE', 'no cache folder: neither XDG_CACHE_HOME nor HOME is set', {
    hint: 'give --cache-dir DIR or LONGSHORE_CACHE_DIR',
  })
}

/** The path itself, or the first folder above it that exists. */
async function nearest(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    try {
      if ((await stat(at)).isDirectory()) return at
      throw new LongshoreError('LOCAL_IO', `${at} is not a folder`, {
        path: at,
        hint: 'choose another --cache-dir',
      })
    } catch (error) {
      if (errorCode(error) === 'ENOTDIR' && at !== dirname(at)) continue
      if (errorCode(error) !== 'ENOENT' || at === dirname(at)) throw error
    }
  }
}

async function readMark(state: string): Promise<CacheMode | undefined> {
  const path = join(state, 'cache.json')
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return undefined
    throw error
  }
  const mark = markSchema.safeParse(parseJson(text))
  if (!mark.success) {
    throw new LongshoreError('LOCAL_IO', `${path} is garbled`, {
      path,
      hint: 'remove this one file: it is made anew, and the cached data stays',
    })
  }
  if (mark.data.version > FORMAT) {
    throw new LongshoreError(
      'UNSUPPORTED',
      `the cache in ${dirname(state)} has format ${mark.data.version}, this longshore knows ${FORMAT}`,
      { path, hint: 'use the newer longshore, or another --cache-dir' },
    )
  }
  return mark.data.mode
}

/** Side by side: one after the other they are half of what opening a cache takes. */
async function makeFolders(cache: { modes: Modes }, state: string): Promise<void> {
  await allOf(STATE_FOLDERS.map((folder) => makeFolder(cache, join(state, folder))))
}

/** Returns the mode that counts: another process may be making it at the same moment, with its own. */
async function makeCache(root: string, state: string, mode: CacheMode): Promise<CacheMode> {
  const cache = { modes: MODES[mode] }
  const there = await lstat(root).then(
    () => true,
    () => false,
  )
  if (!there) {
    await makePath(dirname(root))
    await makeFolder(cache, root)
  }
  await makeFolder(cache, state)
  await makeFolders(cache, state)
  // Whoever may read a shared cache may also say that a job is reading.
  if (mode === 'shared') await chmod(join(state, 'leases'), 0o1777)
  const temp = join(state, `cache.json.${randomBytes(6).toString('hex')}`)
  await writeFileDurable(temp, `${JSON.stringify({ format: 'longshore-cache', version: FORMAT, mode })}\n`, {
    mode: cache.modes.file,
  })
  try {
    await linkDurable(temp, join(state, 'cache.json'))
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
  } finally {
    await rm(temp, { force: true })
  }
  await syncDir(root)
  return (await readMark(state)) ?? mode
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
