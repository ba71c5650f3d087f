import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileDurable } from '../fs/durable.ts'
import { cleanStage, isStagedWhole, type Staged, stageRoot } from './stage.ts'
import { decodeStageRecord, encodeStageRecord, STAGE_RECORD } from './stage-record.ts'
import type { StagedCheckpoint } from './types.ts'

export interface Recovered {
  staged: Staged
  /** Where and in which epoch it was to be committed. */
  run: string
  epoch: number
}

/**
 * What a run that was killed had judged complete and not committed yet, oldest first: the writer may have removed
 * it since, so the stage may be its only place. Everything else in the stage is removed. The lock is held.
 */
export async function recoverStage(dir: string): Promise<Recovered[]> {
  const found: Recovered[] = []
  for (const name of await readdir(stageRoot(dir)).catch(() => [])) {
    const folder = join(stageRoot(dir), name)
    const text = await readFile(join(folder, STAGE_RECORD), 'utf8').catch(() => undefined)
    const record = text === undefined ? undefined : decodeStageRecord(text)
    if (record === undefined) continue
    const { checkpoint, run, epoch } = record
    for (const file of checkpoint.files) file.staged = join(folder, file.staged)
    const bytes = checkpoint.files.reduce((sum, file) => sum + file.size, 0)
    const identity = identityOfStaged(checkpoint)
    const staged: Staged = { checkpoint, folder, identity, bytes, stamps: new Map() }
    if (await isStagedWhole(staged)) found.push({ staged, run, epoch })
  }
  await cleanStage(dir, new Set(found.map(({ staged }) => staged.folder ?? '')))
  return found.sort((a, b) => a.epoch - b.epoch || a.staged.checkpoint.ordinal - b.staged.checkpoint.ordinal)
}

/** Takes a recovered checkpoint into this run: a crash from here on finds it as this run's. */
export async function adoptStaged(
  staged: Staged,
  options: { run: string; epoch: number; ordinal: number },
): Promise<void> {
  staged.checkpoint.ordinal = options.ordinal
  if (staged.folder === undefined) return
  await writeFileDurable(join(staged.folder, STAGE_RECORD), encodeStageRecord(staged.checkpoint, options))
}

/** As scan-settled's identityOf says it of a candidate; links beside the checkpoint are no part of it. */
function identityOfStaged(checkpoint: StagedCheckpoint): string {
  const lines = checkpoint.files
    .filter((file) => file.symlink === undefined)
    .map((file) => `${file.path}\0${file.size}\0${file.mtimeNs}\0${file.inode}`)
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex')
}
