import { posix } from 'node:path'
import { LongshoreError } from '../errors.ts'
import {
  type CommitDataFile,
  type CommitRecord,
  isDataFile,
  linkStaysInside,
} from '../manifest/checkpoint.ts'

/** What a commit puts into a folder, checked: no path leaves it, none is in another's way. */
export interface RestorePlan {
  files: CommitDataFile[]
  /** `beside`: outside of the checkpoint and leading to it (`latest`), so made to move as a pointer file is. */
  links: { path: string; target: string; beside: boolean }[]
  pointers: { path: string; mode: number; bytes: Buffer }[]
  /** All but what points at it is below one folder, this one: it can appear as a whole. undefined: it is not. */
  folder: string | undefined
  bytes: number
}

/** Names by which readers judge a checkpoint complete: they appear after everything else. */
const MARKERS =
  /(^|\/)(\.metadata|\.done|_SUCCESS|commit_success\.txt|_CHECKPOINT_METADATA|trainer_state\.json|saved_model\.pb|fingerprint\.pb|[^/]*\.index|[^/]*\.index\.json)$/

/** Throws BAD_MANIFEST for a record that can't be what longshore committed. */
export function planRestore(record: CommitRecord, url: string): RestorePlan {
  const refuse = (path: string, why: string) =>
    new LongshoreError('BAD_MANIFEST', `record ${record.seq} of ${url}: ${path} ${why}`, {
      path: `${url}${path}`,
      hint: 'the record is not one that longshore wrote; nothing was restored',
    })
  const all = [...record.files, ...record.pointers]
  const taken = new Set<string>()
  for (const { path } of all) {
    if (taken.has(path)) throw refuse(path, 'is there twice')
    taken.add(path)
  }
  for (const { path } of all) {
    // A file below a link would be written wherever the link leads.
    const above = ancestors(path).find((folder) => taken.has(folder))
    if (above !== undefined) throw refuse(path, `is below ${above}, which is no folder`)
  }
  const data = new Set(record.files.filter(isDataFile).map((file) => file.path))
  const inside = (path: string) => path.startsWith(`${record.name}/`)
  const links = record.files.flatMap((file) => {
    if (isDataFile(file)) return []
    const leadsTo = posix.join(posix.dirname(file.path), file.symlink)
    const beside = !inside(file.path) && (leadsTo === record.name || data.has(leadsTo))
    return [{ path: file.path, target: file.symlink, beside }]
  })
  const leaving = links.find((link) => !linkStaysInside(link.path, link.target))
  if (leaving) throw refuse(leaving.path, `leads out of the folder, to ${leaving.target}`)
  const files = record.files.filter(isDataFile).sort(compareForPublish)
  const inner = [...files, ...links.filter((link) => !link.beside)]
  return {
    files,
    links,
    pointers: record.pointers.map(({ path, mode, base64 }) => ({
      path,
      mode,
      bytes: Buffer.from(base64, 'base64'),
    })),
    folder: inner.length > 0 && inner.every(({ path }) => inside(path)) ? record.name : undefined,
    bytes: files.reduce((sum, file) => sum + file.size, 0),
  }
}

/** The order in which files get their final names: large ones first, what says "complete" last. */
function compareForPublish(a: CommitDataFile, b: CommitDataFile): number {
  return Number(MARKERS.test(a.path)) - Number(MARKERS.test(b.path)) || b.size - a.size
}

/** 'a/b/c' → 'a', 'a/b' */
export function ancestors(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'))
}
