import type { IndexedSample } from '../formats/sample-index.ts'
import { TAR_END_BYTES, tarHeaderBytes, tarPadding, writeTarHeader } from '../formats/tar/header.ts'
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

/** Literals are written one after the other into buffers of this size: one a header would cost more than the header. */
const ARENA_BYTES = 64 * 1024

/**
 * The bytes of a tar shard as parts: headers and padding as literals, made only now, bodies as ranges of their
 * objects. One part is held at a time; an object may span any number of them.
 */
export async function* shardParts(
  samples: AsyncIterable<readonly IndexedSample[]>,
  options: PartsOptions,
): AsyncGenerator<ShardPart> {
  const { partSize, store, prefix } = options
  let part: ShardPart = { number: 1, offset: 0, length: 0, pieces: [], objects: 0 }
  const full: ShardPart[] = []
  let arena = Buffer.allocUnsafeSlow(ARENA_BYTES)
  // Of the arena: what is of no piece yet.
  let [from, to] = [0, 0]
  const reserve = (bytes: number): void => {
    if (arena.length - to >= bytes) return
    const next = Buffer.allocUnsafeSlow(Math.max(ARENA_BYTES, to - from + bytes))
    to = arena.copy(next, 0, from, to)
    from = 0
    arena = next
  }
  const flush = (): void => {
    if (from === to) return
    const bytes = arena.subarray(from, to)
    from = to
    part.pieces.push({ kind: 'bytes', at: part.length - bytes.length, length: bytes.length, bytes })
  }
  const advance = (): void => {
    if (part.length < partSize) return
    flush()
    full.push(part)
    part = { number: part.number + 1, offset: part.offset + part.length, length: 0, pieces: [], objects: 0 }
  }
  /** The next bytes of the arena, which have been written there. */
  const literal = (bytes: number): void => {
    for (let left = bytes; left > 0; ) {
      const step = Math.min(left, partSize - part.length)
      to += step
      part.length += step
      left -= step
      advance()
    }
  }
  const zeros = (bytes: number): void => {
    if (bytes === 0) return
    reserve(bytes)
    arena.fill(0, to, to + bytes)
    literal(bytes)
  }
  const body = ({ source, size, etag = '' }: IndexedSample['members'][number]): void => {
    const key = prefix + source
    for (let offset = 0; offset < size; ) {
      flush()
      const length = Math.min(size - offset, partSize - part.length)
      part.pieces.push({ kind: 'object', at: part.length, length, store, key, offset, size, etag })
      part.length += length
      offset += length
      if (offset === size) part.objects++
      advance()
    }
    if (size === 0) part.objects++
  }
  for await (const batch of samples) {
    for (const { members } of batch) {
      for (const member of members) {
        reserve(tarHeaderBytes(member.name))
        literal(writeTarHeader(arena, to, member.name, member.size))
        body(member)
        zeros(tarPadding(member.size))
        if (full.length > 0) yield* full.splice(0)
      }
    }
  }
  zeros(TAR_END_BYTES)
  flush()
  yield* full.splice(0)
  if (part.length > 0) yield part
}
