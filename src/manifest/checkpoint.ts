import * as z from 'zod'
import { LongshoreError } from '../errors.ts'

/**
 * A record of a run's log: `.longshore/log/<seq>.json`, written once, never changed, never reused.
 * Schema and rules: docs/checkpoints.md. A reader that meets an unknown version or field stops (BAD_MANIFEST):
 * guessing about someone's checkpoints is worse than asking for a newer longshore.
 */
export const LOG_FORMAT = 'longshore-log'
export const LOG_VERSION = 1
/** Digits of a sequence number in its key: keys sort as numbers do. */
export const SEQ_DIGITS = 12
/** Longshore's folder, in the bucket and in the watched folder; scanners do not look into it. */
export const STATE_FOLDER = '.longshore'
/** bytes; a pointer file is a line or two (`checkpoint`, `latest`) */
export const MAX_POINTER_BYTES = 1024 * 1024
/** bytes; a commit of some 100,000 files fits */
export const MAX_RECORD_BYTES = 64 * 1024 * 1024

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const seq = count.min(1).max(10 ** SEQ_DIGITS - 1)
const mode = z.number().int().min(0).max(0o7777)
const crc = z.string().regex(/^[0-9a-f]{8}$/)
const nonce = z.string().regex(/^[0-9a-f]{16}$/)
const OBJECTS = /^\.longshore\/objects\/[0-9]+-[0-9a-f]+\/./

const relative = z
  .string()
  .min(1)
  .max(4096)
  .refine((s) => !s.includes('\0') && s.split('/').every((p) => p !== '' && p !== '.' && p !== '..'), {
    error: 'leaves the folder',
  })

/** A path inside the checkpointed folder. What it may not do: leave the folder, or reach longshore's own state. */
const path = relative.refine((s) => s.split('/')[0] !== STATE_FOLDER, {
  error: "reaches longshore's own folder",
})

const common = {
  format: z.literal(LOG_FORMAT),
  version: z.literal(LOG_VERSION),
  /** Its own place in the log: a record that was copied elsewhere is not believed. */
  seq,
  epoch: count.min(1),
  /** The writer's: random, chosen when it took over. */
  nonce,
  /** The writer's clock, for people only. No decision reads it. */
  at: z.iso.datetime(),
}

/** An object's key relative to the run's prefix: a file's own path, or one below `.longshore/objects/`. */
const key = relative.refine((s) => !s.startsWith(`${STATE_FOLDER}/`) || OBJECTS.test(s), {
  error: 'is no place for data',
})
/** '.' : the watched folder itself is the checkpoint. */
const name = z.union([path, z.literal('.')])

/** A regular file and the object that holds its bytes, or a symbolic link (size 0, no object). */
export const commitFileSchema = z.union([
  z.strictObject({
    path,
    size: count,
    mode,
    /** CRC-32 of the whole file. */
    crc32: crc,
    /** Relative to the run's prefix; undefined: at `path`. */
    key: key.optional(),
  }),
  z.strictObject({ path, mode, symlink: z.string().min(1).max(4096) }),
])

export const pointerSchema = z.strictObject({
  path,
  mode,
  /** The file's bytes. */
  base64: z.base64().max(Math.ceil(MAX_POINTER_BYTES / 3) * 4),
})

export const takeoverSchema = z.strictObject({
  ...common,
  type: z.literal('takeover'),
  /** Where the writer runs, for people: a host name. */
  host: z.string().max(255).optional(),
})

export const commitSchema = z.strictObject({
  ...common,
  type: z.literal('commit'),
  /** Rank in which the writer completed it: newest = highest (epoch, ordinal). */
  ordinal: count,
  name,
  step: count.nullable(),
  /** Seq of the newest live commit once this one is in: itself, or one with a higher ordinal that came earlier. */
  newest: seq,
  layout: z.string().min(1).max(64),
  files: z.array(commitFileSchema),
  pointers: z.array(pointerSchema),
})

export const retireSchema = z.strictObject({
  ...common,
  type: z.literal('retire'),
  /** Commits that no longer count, by their seq. Their objects may be gone from now on. */
  commits: z.array(z.strictObject({ seq, name })),
  /** Every retire record up to this seq has had its objects deleted: nothing to finish there. */
  swept: count,
})

export const recordSchema = z.discriminatedUnion('type', [takeoverSchema, commitSchema, retireSchema])

export type LogRecord = z.infer<typeof recordSchema>
export type TakeoverRecord = z.infer<typeof takeoverSchema>
export type CommitRecord = z.infer<typeof commitSchema>
export type RetireRecord = z.infer<typeof retireSchema>
export type CommitFile = z.infer<typeof commitFileSchema>
export type CommitDataFile = Exclude<CommitFile, { symlink: string }>
export type CommitPointer = z.infer<typeof pointerSchema>

export function isDataFile(file: CommitFile): file is CommitDataFile {
  return !('symlink' in file)
}

/** Where a file's bytes are, relative to the run's prefix. */
export function fileKey(file: CommitDataFile): string {
  return file.key ?? file.path
}

/**
 * Whether a symbolic link at `path` can only lead inside the folder: relative, `..` only in front (behind another
 * link it would not mean what it seems to), no more of them than there are folders above, not into longshore's own.
 */
export function linkStaysInside(path: string, target: string): boolean {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return false
  const folders = path.split('/').slice(0, -1)
  let named = false
  for (const part of target.split('/')) {
    if (part === '..') {
      if (named || folders.pop() === undefined) return false
    } else if (part !== '' && part !== '.') {
      named = true
      folders.push(part)
    }
  }
  return folders[0] !== STATE_FOLDER
}

/** `.longshore/log/000000000012.json`, relative to the run's prefix. */
export function logKey(number: number): string {
  return `${STATE_FOLDER}/log/${String(number).padStart(SEQ_DIGITS, '0')}.json`
}

/** The seq of a record's key (relative to the run's prefix), or undefined when it is none. */
export function seqOfKey(name: string): number | undefined {
  const found = /^\.longshore\/log\/(\d{12})\.json$/.exec(name)
  return found ? Number(found[1]) : undefined
}

/** One line of JSON. Checked against the schema first: what can't be read back is not written. */
export function encodeRecord(record: LogRecord): Buffer {
  const bytes = Buffer.from(`${JSON.stringify(check(record, `log record ${record.seq}`))}\n`)
  if (bytes.length > MAX_RECORD_BYTES)
    throw new LongshoreError(
      'UNSUPPORTED',
      `the record of ${record.type} ${record.seq} is larger than 64 MiB`,
      {
        hint: 'split the checkpoint: longshore commits some 100,000 files at once',
      },
    )
  return bytes
}

/** Throws BAD_MANIFEST, naming `url` and the first thing wrong with it. */
export function decodeRecord(bytes: Uint8Array, expected: { seq: number; url: string }): LogRecord {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch (cause) {
    throw new LongshoreError('BAD_MANIFEST', `${expected.url} is not JSON`, { path: expected.url, cause })
  }
  const record = check(json, expected.url)
  if (record.seq !== expected.seq)
    throw new LongshoreError('BAD_MANIFEST', `${expected.url} holds record ${record.seq}`, {
      path: expected.url,
      hint: 'a log record was copied or renamed; put the original back',
    })
  return record
}

function check(json: unknown, url: string): LogRecord {
  const parsed = recordSchema.safeParse(json)
  if (parsed.success) return parsed.data
  throw new LongshoreError('BAD_MANIFEST', `${url}: ${explain(parsed.error.issues[0])}`, {
    path: url,
    hint: 'not written by this version of longshore, or damaged',
  })
}

/** Of an entry that is neither a file nor a link: what is wrong with it as the one it looks like. */
function explain(issue: z.core.$ZodIssue | undefined, above: PropertyKey[] = []): string {
  if (issue === undefined) return 'not a log record'
  const path = [...above, ...issue.path]
  if (issue.code === 'invalid_union') {
    const nearest = [...issue.errors].sort((a, b) => a.length - b.length)[0]?.[0]
    if (nearest) return explain(nearest, path)
  }
  return path.length === 0 ? issue.message : `${issue.message} (${path.join('.')})`
}
