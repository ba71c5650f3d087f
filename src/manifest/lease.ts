import * as z from 'zod'

/** Who keeps a dataset from being evicted, and for how long: `.longshore/leases/<id>.json`, `.longshore/pins/<id>.json`. */
const id = z.string().regex(/^[0-9a-z-]{1,48}$/)
const time = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const owner = z.string().min(1).max(256)

export const leaseSchema = z.strictObject({
  format: z.literal('longshore-lease'),
  version: z.literal(1),
  id,
  dataset: id,
  owner,
  /** ms since the epoch */
  taken: time,
  /** ms since the epoch; a live lease ends with its process instead */
  until: time,
  /** Holds as long as the lock `lease-<id>` is held. */
  live: z.boolean(),
})

export const pinSchema = z.strictObject({
  format: z.literal('longshore-pin'),
  version: z.literal(1),
  id,
  dataset: id,
  owner,
  taken: time,
})

export type Lease = z.infer<typeof leaseSchema>
export type Pin = z.infer<typeof pinSchema>
