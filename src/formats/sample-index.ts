import * as z from 'zod'
import { LongshoreError } from '../errors.ts'

/**
 * longshore's index of a shard, `train-000000.index.jsonl`: a header line, then a line a sample in the shard's
 * order. It says where each member's bytes are, which source object they came from, and the CRC-32 of each block
 * of the shard, so that one sample can be read by range and checked without the rest.
 */
export const INDEX_FORMAT = 'longshore-index'

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
const crc = z.string().regex(/^[0-9a-f]{8}$/)

export const indexHeaderSchema = z.strictObject({
  format: z.literal(INDEX_FORMAT),
  version: z.literal(1),
  shard: z.string().min(1),
  /** bytes of the shard */
  size: count,
  /** CRC-32 of the whole shard */
  crc32: crc,
  samples: count,
  /** bytes; the last block may be short */
  blockSize: count.min(1),
  /** CRC-32 of each block */
  blocks: z.array(crc),
})

export const indexedSampleSchema = z.strictObject({
  key: z.string().min(1),
  /** Where the sample's first header begins in the shard, and how many bytes it takes with all its members. */
  offset: count,
  size: count,
  members: z.array(
    z.strictObject({
      /** Its name in the shard. */
      name: z.string().min(1),
      ext: z.string().min(1),
      /** Of the body. */
      offset: count,
      size: count,
      /** Key of the source object, relative to SRC. */
      source: z.string().min(1),
      /** As listed, with its quotes; none for a local source. */
      etag: z.string().optional(),
    }),
  ),
})

export type IndexHeader = z.infer<typeof indexHeaderSchema>
export type IndexedSample = z.infer<typeof indexedSampleSchema>
export type IndexedMember = IndexedSample['members'][number]

/** A line is one sample; one that is larger than this is damage, and would have to be held whole. */
const MAX_LINE = 64 * 1024 * 1024

export function encodeIndexLine(line: IndexHeader | IndexedSample): string {
  return `${JSON.stringify(line)}\n`
}

/**
 * Reads an index that comes in chunks of any size; memory does not grow with it. The header is read at once, the
 * samples as they are asked for. Anything that is not as written is BAD_MANIFEST with the line's number.
 */
export async function readSampleIndex(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: { path?: string; signal?: AbortSignal } = {},
): Promise<{ header: IndexHeader; samples: AsyncGenerator<IndexedSample> }> {
  const { path } = options
  const lines = readLines(chunks, { maxBytes: MAX_LINE, ...options })
  const first = await lines.next()
  if (first.done) throw bad('it is empty', path)
  const header = parseLine(indexHeaderSchema, first.value, 1, path)
  const blocks = Math.ceil(header.size / header.blockSize)
  if (header.blocks.length !== blocks)
    throw bad(`line 1 lists ${header.blocks.length} blocks of ${blocks}`, path)
  return { header, samples: readSamples(lines, header, path) }
}

async function* readSamples(
  lines: AsyncGenerator<string>,
  header: IndexHeader,
  path: string | undefined,
): AsyncGenerator<IndexedSample> {
  let seen = 0
  try {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      const sample = parseSample(line.value, seen + 2, path)
      if (sample.offset + sample.size > header.size) throw bad(`line ${seen + 2} points past the shard`, path)
      seen++
      yield sample
    }
    if (seen !== header.samples) throw bad(`it holds ${seen} of ${header.samples} samples`, path)
  } finally {
    await lines.return(undefined)
  }
}

/** UTF-8 lines, without their '\n', of a stream of chunks. A last line without '\n' counts. */
export async function* readLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: { maxBytes: number; path?: string; signal?: AbortSignal },
): AsyncGenerator<string> {
  for await (const lines of readLineBatches(chunks, options)) yield* lines
}

/** bytes; lines are decoded by so many at once, and handed on by so many: a hop a line costs more than its line */
const BATCH_BYTES = 256 * 1024

/** The same lines, some hundreds at a time. */
export async function* readLineBatches(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: { maxBytes: number; path?: string; signal?: AbortSignal },
): AsyncGenerator<string[]> {
  let held: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    options.signal?.throwIfAborted()
    const all = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let from = 0; from < all.length; ) {
      const limit = Math.min(all.length, from + BATCH_BYTES)
      const end = all.lastIndexOf(0x0a, limit - 1)
      if (end >= from) {
        const whole = all.subarray(from, end)
        const text = held.length === 0 ? whole : Buffer.concat([...held, whole])
        held = []
        bytes = 0
        from = end + 1
        yield text.toString('utf8').split('\n')
        continue
      }
      held.push(all.subarray(from, limit))
      bytes += limit - from
      from = limit
      if (bytes > options.maxBytes) throw bad(`a line of more than ${options.maxBytes} bytes`, options.path)
    }
  }
  if (bytes > 0) yield [Buffer.concat(held).toString('utf8')]
}

/** One line of an index. Looked at by hand, since there are millions; the schema says what is wrong with one. */
export function parseSample(line: string, number: number, path: string | undefined): IndexedSample {
  const value = parseJson(line, number, path)
  return isSample(value) ? value : checked(indexedSampleSchema, value, number, path)
}

/** One JSON line, checked against its schema; BAD_MANIFEST names the line. */
function parseLine<T>(schema: z.ZodType<T>, line: string, number: number, path: string | undefined): T {
  return checked(schema, parseJson(line, number, path), number, path)
}

function parseJson(line: string, number: number, path: string | undefined): unknown {
  try {
    return JSON.parse(line)
  } catch (cause) {
    throw bad(`line ${number} is no JSON`, path, cause)
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown, number: number, path: string | undefined): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw bad(`line ${number}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`, path, parsed.error)
}

function isSample(value: unknown): value is IndexedSample {
  if (!isRecord(value) || Object.keys(value).length !== 4) return false
  const { key, offset, size, members } = value
  return isText(key) && isCount(offset) && isCount(size) && Array.isArray(members) && members.every(isMember)
}

function isMember(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { name, ext, offset, size, source, etag } = value
  if (Object.keys(value).length !== (etag === undefined ? 5 : 6)) return false
  if (etag !== undefined && typeof etag !== 'string') return false
  return isText(name) && isText(ext) && isCount(offset) && isCount(size) && isText(source)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function bad(what: string, path: string | undefined, cause?: unknown): LongshoreError {
  return new LongshoreError('BAD_MANIFEST', `not a list longshore wrote: ${what}`, {
    ...(path === undefined ? {} : { path }),
    cause,
  })
}
