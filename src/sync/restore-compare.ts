import { lstat, readFile, readlink, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { errorCode } from '../fs/error-code.ts'
import type { CommitDataFile } from '../manifest/checkpoint.ts'
import { ancestors, type RestorePlan } from './restore-plan.ts'
import { crcOfFile } from './upload-source.ts'

export type IfExists = 'skip' | 'fail' | 'replace'

/** What of a plan is in the folder already, byte for byte, and what is to be brought. */
export interface RestoreDiff {
  fetch: CommitDataFile[]
  kept: CommitDataFile[]
  links: RestorePlan['links']
  pointers: RestorePlan['pointers']
}

/**
 * Looks before anything moves. 'skip' and 'replace' keep identical files; a differing one is DIFFERS or replaced.
 * 'fail' takes any existing file as DIFFERS. Pointers (and links like `latest`) are written over by 'skip' too: they are made to move, and
 * one that names another checkpoint would make the trainer load that one.
 */
export async function compareLocal(
  plan: RestorePlan,
  options: { dir: string; ifExists: IfExists; signal: AbortSignal },
): Promise<RestoreDiff> {
  const { dir, ifExists } = options
  const diff: RestoreDiff = { fetch: [], kept: [], links: [], pointers: [] }
  await checkFolders(plan, dir)
  for (const file of plan.files) {
    options.signal.throwIfAborted()
    const path = join(dir, file.path)
    const there = await look(path)
    refuseExisting(path, there, ifExists)
    const same =
      there?.isFile() === true &&
      there.size === file.size &&
      crcHex((await crcOfFile(path, { size: file.size, signal: options.signal })) ?? -1) === file.crc32
    if (there && !same) refuseDifferent(path, there, ifExists)
    ;(same ? diff.kept : diff.fetch).push(file)
  }
  for (const link of plan.links) {
    const path = join(dir, link.path)
    const there = await look(path)
    refuseExisting(path, there, ifExists)
    const isLink = there?.isSymbolicLink() === true
    const same = isLink && (await readlink(path)) === link.target
    if (there && !same && !(link.beside && isLink)) refuseDifferent(path, there, ifExists)
    if (!same) diff.links.push(link)
  }
  for (const pointer of plan.pointers) {
    const path = join(dir, pointer.path)
    const there = await look(path)
    refuseExisting(path, there, ifExists)
    if (there?.isDirectory()) refuseDifferent(path, there, ifExists)
    const same = there?.isFile() === true && (await readFile(path)).equals(pointer.bytes)
    if (!same) diff.pointers.push(pointer)
  }
  return diff
}

/** Folders on the way must be folders, and a local link among them must not lead out of DIR. */
async function checkFolders(plan: RestorePlan, dir: string): Promise<void> {
  const root = await realpath(dir)
  const paths = [...plan.files, ...plan.links, ...plan.pointers].map((item) => item.path)
  for (const folder of new Set(paths.flatMap(ancestors))) {
    const path = join(dir, folder)
    const there = await look(path)
    if (there === undefined || there.isDirectory()) continue
    if (there.isSymbolicLink() && (await realpath(path)).startsWith(root + sep)) continue
    const what = there.isSymbolicLink() ? `is a link that leaves ${dir}` : 'is no folder'
    throw new LongshoreError('DIFFERS', `${path} ${what}, but the checkpoint has files below it`, {
      path,
      hint: 'move it away, or restore into an empty folder',
    })
  }
}

function refuseExisting(path: string, there: unknown, ifExists: IfExists): void {
  if (there === undefined || ifExists !== 'fail') return
  throw new LongshoreError('DIFFERS', `${path} exists already`, {
    path,
    hint: '--if-exists skip keeps identical files, --if-exists replace takes the committed ones',
  })
}

function refuseDifferent(path: string, there: { isDirectory(): boolean }, ifExists: IfExists): void {
  if (there.isDirectory())
    throw new LongshoreError('DIFFERS', `${path} is a folder, the checkpoint has a file there`, {
      path,
      hint: 'move the folder away, or restore into an empty folder',
    })
  if (ifExists === 'replace') return
  throw new LongshoreError('DIFFERS', `${path} differs from the committed file`, {
    path,
    hint: '--if-exists replace takes the committed one; to keep the local one, restore into another folder',
  })
}

async function look(path: string) {
  try {
    return await lstat(path)
  } catch (error) {
    const code = errorCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw error
  }
}
