import { createHash } from 'node:crypto'
import type { Candidate } from './layouts/layout.ts'

/**
 * What tells two saves of one name apart, also across a restart: paths, sizes, modification times and inodes of
 * its regular files. Links beside it move on with the next save and change nothing of this one.
 */
export function identityOf(candidate: Candidate): string {
  const lines: string[] = []
  for (const { path, record } of candidate.files) {
    if (record.symlink === undefined)
      lines.push(`${path}\0${record.size}\0${record.mtimeNs}\0${record.inode}`)
  }
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex')
}

/**
 * How long (ms) a candidate has not changed, by a pass that looked at every file of it; undefined when this pass
 * did not look at all of them, or was the first to see it like this.
 */
export function quietFor(candidate: Candidate, at: number): number | undefined {
  let changed = Number.NEGATIVE_INFINITY
  for (const folder of candidate.folders) if (folder.freshAt !== at) return undefined
  for (const folder of candidate.listings) {
    if (folder.freshAt !== at || folder.unreadable) return undefined
    if (folder.changedAt > changed) changed = folder.changedAt
  }
  for (const { record } of candidate.files) if (record.changedAt > changed) changed = record.changedAt
  return changed < at ? at - changed : undefined
}
