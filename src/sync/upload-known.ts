import { lstat, readdir, readFile, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import * as z from 'zod'
import { writeFileDurable } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { makePath } from '../fs/make-path.ts'
import { SEQ_DIGITS } from '../manifest/checkpoint.ts'
import { type CheckpointLog, type CommitHead, type LogPlace, placeUrl } from './log.ts'
import { compareNewest } from './log-state.ts'
import type { StagedCheckpoint, StagedFile } from './types.ts'

/**
 * `DIR/.longshore/known/<seq>.json`: which local files are, unchanged, the ones of a commit. Written after a
 * commit and after a restore, so that neither is uploaded again. Only a shortcut: losing it costs uploads.
 * A file counts as unchanged by inode, size and modification time in ns.
 */
export interface KnownFiles {
  /** Commits by seq, the files by path. */
  readonly bySeq: Map<number, Map<string, KnownFile>>
  /** The newest note of a path. */
  readonly byPath: Map<string, { file: KnownFile; seq: number }>
}

const fileSchema = z.strictObject({
  path: z.string(),
  inode: z.string(),
  mtimeNs: z.string(),
  size: z.number().int().nonnegative(),
  crc32: z.string().regex(/^[0-9a-f]{8}$/),
  key: z.string(),
  symlink: z.string().optional(),
})
const knownSchema = z.strictObject({
  version: z.literal(1),
  /** The run it is about: DIR may be synced to another one tomorrow. */
  run: z.string(),
  seq: z.number().int().positive(),
  files: z.array(fileSchema),
})

export type KnownFile = z.infer<typeof fileSchema>

/** Reads what is known of live commits, and removes what is known of anything else. Damaged notes are removed too. */
export async function openKnown(log: CheckpointLog, options: { stateDir: string }): Promise<KnownFiles> {
  const known: KnownFiles = { bySeq: new Map(), byPath: new Map() }
  const folder = join(options.stateDir, 'known')
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  })
  for (const name of names.filter((n) => n.endsWith('.json')).sort()) {
    const path = join(folder, name)
    const note = parse(await readFile(path))
    const ours = note?.run === placeUrl(log)
    const live = note !== undefined && (!ours || log.commits.has(note.seq))
    if (note === undefined || !live || !(await stillThere(note, dirname(options.stateDir))))
      await unlink(path)
    else if (ours) addKnown(known, note.seq, note.files)
  }
  return known
}

/** Reads again what is known of the commits of this name: restore may have brought one since. */
export async function refreshKnown(
  writer: CheckpointLog & { known: KnownFiles; stateDir: string },
  name: string,
): Promise<void> {
  for (const head of writer.commits.values()) {
    if (head.name !== name) continue
    const bytes = await readFile(notePath(writer.stateDir, head.seq)).catch(() => undefined)
    const note = bytes && parse(bytes)
    if (note?.run === placeUrl(writer) && note.seq === head.seq) addKnown(writer.known, head.seq, note.files)
  }
}

export function addKnown(known: KnownFiles, seq: number, files: readonly KnownFile[]): void {
  known.bySeq.set(seq, new Map(files.map((file) => [file.path, file])))
  for (const file of files) {
    if (seq >= (known.byPath.get(file.path)?.seq ?? 0)) known.byPath.set(file.path, { file, seq })
  }
}

/** Of commits that were retired. The files on the disk go at the next start. */
export function forgetKnown(known: KnownFiles, seqs: readonly number[]): void {
  for (const seq of seqs) {
    for (const path of known.bySeq.get(seq)?.keys() ?? []) {
      if (known.byPath.get(path)?.seq === seq) known.byPath.delete(path)
    }
    known.bySeq.delete(seq)
  }
}

/** Writes down that these local files are the ones of commit `seq`: they are in place, under their final names. */
export async function saveKnown(
  place: LogPlace,
  note: { stateDir: string; seq: number; files: KnownFile[] },
): Promise<void> {
  const path = notePath(note.stateDir, note.seq)
  await makePath(dirname(path))
  const body = { version: 1, run: placeUrl(place), seq: note.seq, files: note.files }
  await writeFileDurable(path, `${JSON.stringify(body)}\n`)
}

function notePath(stateDir: string, seq: number): string {
  return join(stateDir, 'known', `${String(seq).padStart(SEQ_DIGITS, '0')}.json`)
}

/** What a live commit says of an unchanged file. */
export function findKnown(
  known: KnownFiles,
  file: StagedFile,
  commits: ReadonlyMap<number, CommitHead>,
): KnownFile | undefined {
  const found = known.byPath.get(file.path)
  return found && commits.has(found.seq) && isSame(found.file, file) ? found.file : undefined
}

/** The newest live commit of this name whose files are all here, unchanged, and no others. */
export function findKnownCommit(
  known: KnownFiles,
  staged: StagedCheckpoint,
  commits: ReadonlyMap<number, CommitHead>,
): CommitHead | undefined {
  const heads = [...commits.values()].filter((head) => head.name === staged.name).sort(compareNewest)
  return heads.find((head) => {
    const files = known.bySeq.get(head.seq)
    if (files?.size !== staged.files.length) return false
    return staged.files.every((file) => {
      const found = files.get(file.path)
      return found !== undefined && isSame(found, file)
    })
  })
}

function isSame(known: KnownFile, file: StagedFile): boolean {
  if (file.symlink !== undefined || known.symlink !== undefined) return known.symlink === file.symlink
  return known.inode === file.inode && known.mtimeNs === file.mtimeNs && known.size === file.size
}

/** A writer that rotates its checkpoints away would leave a note for each of them behind. */
async function stillThere(note: z.infer<typeof knownSchema>, dir: string): Promise<boolean> {
  for (const file of note.files) {
    if (file.symlink !== undefined) continue
    const stat = await lstat(join(dir, file.path), { bigint: true }).catch(() => undefined)
    if (stat && String(stat.ino) === file.inode && String(stat.mtimeNs) === file.mtimeNs) return true
  }
  return false
}

function parse(bytes: Buffer): z.infer<typeof knownSchema> | undefined {
  try {
    return knownSchema.parse(JSON.parse(bytes.toString('utf8')))
  } catch {
    return undefined
  }
}
