import type { IndexedSample } from '../formats/sample-index.ts'
import { TAR_END_BYTES, tarHeader, tarPadding } from '../formats/tar/header.ts'
import { BLOCK_BYTES, type Piece, type StoreId } from '../transfer/types.ts'

/** A run of a shard that goes up as one part. */
export interface ShardPart {
  /** 1 … */
  number: number
  offset: number
  length: number
  pieces: Piece[]
  /** Source objects whose last byte is in it. */
  objects: number
}

export interface PartsOptions {
  /** bytes; a multiple of BLOCK_BYTES, so that the blocks of the parts are the blocks of the shard */
  partSize: number
  /** The source: keys are `prefix` + the member's source. */
  store: StoreId
  prefix: string
}

const MAX_PARTS = 10_000

/** A multiple of 8 MiB, at least what was asked, so large that 10,000 parts (S3's limit) hold the shard. */
export function partSizeFor(shardSize: number, asked: number | undefined): number {
  const least = Math.max(asked ?? 0, Math.ceil(shardSize / MAX_PARTS), 1)
  return Math.ceil(least / BLOCK_BYTES) * BLOCK_BYTES
}

/**
 * The bytes of a tar shard as parts: headers and padding as literals, made only now, bodies as ranges of their
 * objects. One part is held at a time; an object may span any number of them.
 */
export async function* shardParts(
  samples: AsyncIterable<IndexedSample>,
  options: PartsOptions,
): AsyncGenerator<ShardPart> {
  const { partSize, store, prefix } = options
  let part: ShardPart = { number: 1, offset: 0, length: 0, pieces: [], objects: 0 }
  let literals: Buffer[] = []
  const full: ShardPart[] = []
  const flush = (): void => {
    if (literals.length === 0) return
    const bytes = Buffer.concat(literals)
    literals = []
    part.pieces.push({ kind: 'bytes', at: part.length - bytes.length, length: bytes.length, bytes })
  }
  const advance = (): void => {
    if (part.length < partSize) return
    flush()
    full.push(part)
    part = { number: part.number + 1, offset: part.offset + part.length, length: 0, pieces: [], objects: 0 }
  }
  const literal = (bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; ) {
      const step = Math.min(bytes.length - at, partSize - part.length)
      literals.push(bytes.subarray(at, at + step))
      part.length += step
      at += step
      advance()
    }
  }
  const body = ({ source, size, etag = '' }: IndexedSample['members'][number]): void => {
    for (let offset = 0; offset < size; ) {
      flush()
      const length = Math.min(size - offset, partSize - part.length)
      part.pieces.push({
        kind: 'object',
        at: part.length,
        length,
        store,
        key: prefix + source,
        offset,
        size,
        etag,
      })
      part.length += length
      offset += length
      if (offset === size) part.objects++
      advance()
    }
    if (size === 0) part.objects++
  }
  for await (const { members } of samples) {
    for (const member of members) {
      literal(tarHeader(member.name, member.size))
      body(member)
      literal(Buffer.alloc(tarPadding(member.size)))
      yield* full.splice(0)
    }
  }
  literal(Buffer.alloc(TAR_END_BYTES))
  flush()
  yield* full.splice(0)
  if (part.length > 0) yield part
}
