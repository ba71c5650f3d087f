import { isDataFile } from '../manifest/checkpoint.ts'
import type { LogWriter } from './epoch.ts'
import type { CommitHead } from './log.ts'
import { readCommit } from './log-read.ts'
import { compareNewest } from './log-state.ts'
import type { Staged } from './stage.ts'
import { findCommitted } from './upload.ts'
import { addKnown, type KnownFile, saveKnown } from './upload-known.ts'

/**
 * The live commit that a checkpoint in DIR already is. Links are left out of the comparison: `latest` moves on
 * with the next save, and must not make an older checkpoint the newest commit.
 */
export function findSame(writer: LogWriter, staged: Staged): CommitHead | undefined {
  const exact = findCommitted(writer, staged.checkpoint)
  if (exact !== undefined) return exact
  const files = staged.checkpoint.files.filter((file) => file.symlink === undefined)
  const heads = [...writer.commits.values()].filter((head) => head.name === staged.checkpoint.name)
  return heads.sort(compareNewest).find((head) => {
    const known = writer.known.bySeq.get(head.seq)
    if (known === undefined) return false
    const regular = [...known.values()].filter((file) => file.symlink === undefined).length
    if (regular !== files.length) return false
    return files.every((file) => {
      const found = known.get(file.path)
      return (
        found !== undefined &&
        found.symlink === undefined &&
        found.inode === file.inode &&
        found.mtimeNs === file.mtimeNs &&
        found.size === file.size
      )
    })
  })
}

/**
 * A run that was killed between its commit record and its notes left a staged checkpoint that is committed. Its
 * notes are made up for from the record, or the next start would commit the same files again, as the newest.
 */
export async function noteCommitted(
  writer: LogWriter,
  staged: Staged,
  head: CommitHead,
  options: { signal: AbortSignal },
): Promise<void> {
  const record = await readCommit(writer, head.seq, options)
  const local = new Map(staged.checkpoint.files.map((file) => [file.path, file]))
  const files: KnownFile[] = []
  for (const entry of record.files) {
    const file = local.get(entry.path)
    if (file === undefined) return
    const { path, inode, mtimeNs, size, symlink } = file
    if (isDataFile(entry) && entry.size !== size) return
    files.push({
      path,
      inode,
      mtimeNs,
      size,
      crc32: isDataFile(entry) ? entry.crc32 : '00000000',
      key: isDataFile(entry) ? (entry.key ?? entry.path) : '',
      ...(symlink === undefined ? {} : { symlink }),
    })
  }
  await saveKnown(writer, { stateDir: writer.stateDir, seq: head.seq, files })
  addKnown(writer.known, head.seq, files)
}
