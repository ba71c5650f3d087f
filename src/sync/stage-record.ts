import * as z from 'zod'
import type { StagedCheckpoint } from './types.ts'

/** The last file of a stage folder to be written: what it says is held is held. */
export const STAGE_RECORD = 'stage.json'

const digits = z.string().regex(/^-?\d{1,20}$/)
const relative = z
  .string()
  .min(1)
  .refine((s) => !s.includes('\0') && s.split('/').every((p) => p !== '' && p !== '.' && p !== '..'))

const recordSchema = z.strictObject({
  version: z.literal(1),
  run: z.string(),
  epoch: z.number().int().nonnegative(),
  /** '.': DIR itself. */
  name: z.union([relative, z.literal('.')]),
  step: z.number().int().nonnegative().nullable(),
  layout: z.string().min(1),
  ordinal: z.number().int().nonnegative(),
  files: z.array(
    z.strictObject({
      path: relative,
      size: z.number().int().nonnegative(),
      mode: z.number().int().nonnegative(),
      mtimeNs: digits,
      inode: digits,
      symlink: z.string().optional(),
    }),
  ),
  pointers: z.array(
    z.strictObject({ path: relative, mode: z.number().int().nonnegative(), base64: z.base64() }),
  ),
})

export interface StageRecord {
  run: string
  epoch: number
  /** `staged` holds the file's place in the folder: its index. */
  checkpoint: StagedCheckpoint
}

export function encodeStageRecord(
  checkpoint: StagedCheckpoint,
  { run, epoch }: { run: string; epoch: number },
): string {
  const { name, step, layout, ordinal } = checkpoint
  return JSON.stringify({
    version: 1,
    run,
    epoch,
    name,
    step,
    layout,
    ordinal,
    files: checkpoint.files.map(({ staged: _, ...file }) => file),
    pointers: checkpoint.pointers.map(({ path, mode, bytes }) => ({
      path,
      mode,
      base64: Buffer.from(bytes).toString('base64'),
    })),
  })
}

/** undefined: not a whole record of this version. */
export function decodeStageRecord(text: string): StageRecord | undefined {
  try {
    const { run, epoch, version: _, files, pointers, ...rest } = recordSchema.parse(JSON.parse(text))
    return {
      run,
      epoch,
      checkpoint: {
        ...rest,
        files: files.map((file, at) => ({ ...file, staged: String(at) })),
        pointers: pointers.map(({ base64, ...pointer }) => ({
          ...pointer,
          bytes: Buffer.from(base64, 'base64'),
        })),
      },
    }
  } catch {
    return undefined
  }
}
