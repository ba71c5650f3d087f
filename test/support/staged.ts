import { link, lstat, mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { StagedCheckpoint, StagedFile } from '../../src/sync/types.ts'

/** A file of DIR as the stage holds it: a hard link below DIR/.longshore/stage. */
export async function stageFile(dir: string, path: string): Promise<StagedFile> {
  const staged = join(dir, '.longshore', 'stage', `${process.hrtime.bigint()}`, path)
  await mkdir(dirname(staged), { recursive: true })
  await link(join(dir, path), staged)
  const stat = await lstat(staged, { bigint: true })
  return {
    path,
    staged,
    size: Number(stat.size),
    mode: Number(stat.mode) & 0o7777,
    mtimeNs: String(stat.mtimeNs),
    inode: String(stat.ino),
  }
}

/** Writes the files into DIR and stages them as one checkpoint. */
export async function makeCheckpoint(
  dir: string,
  checkpoint: {
    name: string
    ordinal: number
    step?: number | null
    files: Record<string, string | Uint8Array>
    pointers?: Record<string, string>
    layout?: string
  },
): Promise<StagedCheckpoint> {
  const files: StagedFile[] = []
  for (const [path, body] of Object.entries(checkpoint.files)) {
    await mkdir(dirname(join(dir, path)), { recursive: true })
    await writeFile(join(dir, path), body)
    files.push(await stageFile(dir, path))
  }
  return {
    name: checkpoint.name,
    step: checkpoint.step ?? checkpoint.ordinal,
    layout: checkpoint.layout ?? 'settle',
    ordinal: checkpoint.ordinal,
    files,
    pointers: Object.entries(checkpoint.pointers ?? {}).map(([path, text]) => ({
      path,
      mode: 0o644,
      bytes: Buffer.from(text),
    })),
  }
}
