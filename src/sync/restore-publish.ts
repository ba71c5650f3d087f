import { chmod, lstat, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncDir, syncFilesystem } from '../fs/durable.ts'
import { makePath } from '../fs/make-path.ts'
import type { CommitDataFile } from '../manifest/checkpoint.ts'
import type { RestoreDiff } from './restore-compare.ts'
import type { RestorePlan } from './restore-plan.ts'

/**
 * Gives the fetched files their final names, once all of them are whole and on the disk. A checkpoint folder that
 * is not there yet appears as a whole; else data comes first and what says "complete" last. Pointers come after
 * everything. Killed in between, a rerun finds the finished files identical and does the rest.
 */
export async function publishRestore(
  plan: RestorePlan,
  diff: RestoreDiff,
  options: { dir: string; folder: string; signal: AbortSignal },
): Promise<void> {
  const { dir, folder } = options
  const root = join(folder, 'files')
  const pointers = join(folder, 'pointers')
  for (const file of diff.fetch) await chmod(join(root, file.path), modeOf(file))
  await rm(pointers, { recursive: true, force: true })
  for (const pointer of diff.pointers) {
    const path = join(pointers, pointer.path)
    await makePath(dirname(path))
    await writeFile(path, pointer.bytes)
    await chmod(path, modeOf(pointer))
  }
  const whole = plan.folder !== undefined && !(await exists(join(dir, plan.folder)))
  const [beside, inside] = [diff.links.filter((l) => l.beside), diff.links.filter((l) => !l.beside)]
  if (whole) for (const link of inside) await makeLink(root, link)
  await syncFilesystem(folder, { signal: options.signal })
  const touched = new Set<string>()
  if (whole && plan.folder !== undefined) {
    await placeAt(join(root, plan.folder), join(dir, plan.folder), touched)
  } else {
    for (const file of diff.fetch) await placeAt(join(root, file.path), join(dir, file.path), touched)
    for (const link of inside) {
      await makeLink(root, link)
      await placeAt(join(root, link.path), join(dir, link.path), touched)
    }
  }
  for (const file of diff.kept) await chmod(join(dir, file.path), modeOf(file))
  // A pointer must not be on the disk before what it points to.
  for (const path of touched) await syncDir(path)
  touched.clear()
  for (const link of beside) {
    await makeLink(pointers, link)
    await placeAt(join(pointers, link.path), join(dir, link.path), touched)
  }
  for (const { path } of diff.pointers) await placeAt(join(pointers, path), join(dir, path), touched)
  for (const path of touched) await syncDir(path)
}

/** Set-uid, set-gid and sticky bits are nothing a checkpoint needs. */
function modeOf(file: Pick<CommitDataFile, 'mode'>): number {
  return file.mode & 0o777
}

async function placeAt(from: string, to: string, touched: Set<string>): Promise<void> {
  const made = await makePath(dirname(to))
  // New folders are entries of their parents, which have to be synced too.
  for (let at = dirname(to); made !== undefined && at.length >= made.length; at = dirname(at)) {
    touched.add(dirname(at))
  }
  await rename(from, to)
  touched.add(dirname(to))
}

async function makeLink(root: string, link: RestorePlan['links'][number]): Promise<void> {
  const path = join(root, link.path)
  await makePath(dirname(path))
  await rm(path, { force: true })
  await symlink(link.target, path)
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}
