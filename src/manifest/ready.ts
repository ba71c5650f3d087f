import * as z from 'zod'

/**
 * `.longshore/ready/<dataset>/<selection>.json`, written last: every file of the selection is in the dataset's
 * folder, whole and checked. Withdrawn durably before any of them goes.
 */
const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)

export const readySchema = z.strictObject({
  format: z.literal('longshore-ready'),
  version: z.literal(1),
  /** the dataset's id */
  dataset: z.string().regex(/^[0-9a-f]{16}$/),
  /** 'all', or the selection as text (include, exclude, node share) */
  selection: z.string().min(1).max(1_000_000),
  files: count,
  bytes: count,
  /** How many files passed which check. */
  checks: z.record(z.string().min(1), count),
  /** ms since the epoch */
  completed: count,
})

export type Ready = z.infer<typeof readySchema>

/** The selection that means every file. */
export const WHOLE = 'all'
