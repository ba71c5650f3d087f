import { z } from 'zod'
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
      const sample = parseLine(indexedSampleSchema, line.value, seen + 2, path)
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
  let held: Buffer[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    options.signal?.throwIfAborted()
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let end = rest.indexOf(0x0a); end !== -1; end = rest.indexOf(0x0a)) {
      yield Buffer.concat([...held, rest.subarray(0, end)]).toString('utf8')
      held = []
      bytes = 0
      rest = rest.subarray(end + 1)
    }
    if (rest.length === 0) continue
    held.push(rest)
    bytes += rest.length
    if (bytes > options.maxBytes) throw bad(`a line of more than ${options.maxBytes} bytes`, options.path)
  }
  if (bytes > 0) yield Buffer.concat(held).toString('utf8')
}

/** One JSON line, checked against its schema; BAD_MANIFEST names the line. */
export function parseLine<T>(
  schema: z.ZodType<T>,
  line: string,
  number: number,
  path: string | undefined,
): T {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw bad(`line ${number} is no JSON`, path, cause)
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw bad(`line ${number}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`, path, parsed.error)
}

function bad(what: string, path: string | undefined, cause?: unknown): LongshoreError {
  return new LongshoreError('BAD_MANIFEST', `not a list longshore wrote: ${what}`, {
    ...(path === undefined ? {} : { path }),
    cause,
  })
}
