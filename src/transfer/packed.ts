import type { Check } from '../s3/store.ts'
import type { Scope } from './scope.ts'
import { fromPlain, type PlainError, plainError } from './thread-errors.ts'
import type { Piece, Place, Transfer, TransferResult } from './types.ts'

/**
 * Transfers and results on their way between threads, as columns: a message of objects costs a microsecond a
 * property, on both sides; one of numbers, texts and bytes in a row costs a tenth of it. Both ends read and write in
 * the same order; the kinds and flags are below.
 */
export interface Packed {
  numbers: Float64Array
  texts: string[]
}

export interface PackedTransfers extends Packed {
  /** Of each transfer that has any: its literal pieces, one after the other. Of each its own: it goes back by itself. */
  literals: Uint8Array[]
}

export interface PackedResults extends Packed {
  errors: PlainError[]
  bodies: Uint8Array[]
}

const PIECE = { object: 0, file: 1, bytes: 2 } as const
const PLACE = { part: 0, file: 1, whole: 2, memory: 3 } as const
const CHECKS: readonly Check[] = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256', 'size']

/**
 * 'object' places are conditional writes: the main thread's. Its number in the message is the ticket. `take` gives
 * memory for literals.
 */
export function packTransfers(
  work: readonly { ticket: number; scope: Pick<Scope, 'id'>; transfer: Transfer }[],
  take: (bytes: number) => ArrayBuffer = (bytes) => new ArrayBuffer(bytes),
): PackedTransfers {
  const numbers: number[] = []
  const texts: string[] = []
  const literals: Uint8Array[] = []
  let own: Uint8Array[] = []
  const stores = new Map<string, number>()
  const storeNumber = (store: string): number => {
    const known = stores.get(store)
    if (known !== undefined) return known
    const made = texts.length
    stores.set(store, made)
    texts.push(store)
    return made
  }
  // Their texts come first: the others are read in order.
  for (const { transfer } of work) {
    if (transfer.to.kind === 'part') storeNumber(transfer.to.store)
    for (const piece of transfer.pieces) if (piece.kind === 'object') storeNumber(piece.store)
  }
  numbers.push(work.length, texts.length)
  const packPlace = (to: Place) => {
    if (to.kind === 'part') {
      numbers.push(PLACE.part, storeNumber(to.store), to.partNumber, to.offset)
      texts.push(to.key, to.uploadId)
    } else if (to.kind === 'file') {
      numbers.push(PLACE.file, to.offset)
      texts.push(to.path)
    } else if (to.kind === 'whole') {
      const { temp } = to
      numbers.push(PLACE.whole, to.mode, to.durable ? 1 : 0, temp === undefined ? 0 : 1)
      texts.push(to.path)
      if (temp !== undefined) texts.push(temp)
    } else numbers.push(PLACE.memory)
  }
  const packPiece = (piece: Piece) => {
    if (piece.kind === 'object') {
      const { versionId } = piece
      numbers.push(PIECE.object, piece.at, piece.length, piece.offset, piece.size)
      numbers.push(storeNumber(piece.store), versionId === undefined ? 0 : 1)
      texts.push(piece.key, piece.etag)
      if (versionId !== undefined) texts.push(versionId)
    } else if (piece.kind === 'file') {
      numbers.push(PIECE.file, piece.at, piece.length, piece.offset)
      texts.push(piece.path)
    } else {
      numbers.push(PIECE.bytes, piece.at, piece.length)
      own.push(piece.bytes)
    }
  }
  for (const { ticket, scope, transfer } of work) {
    const { expectCrcs } = transfer
    numbers.push(ticket, scope.id, transfer.length, transfer.pieces.length, expectCrcs?.length ?? -1)
    numbers.push(transfer.stream ? 1 : 0, transfer.sumFrom ?? 0)
    if (expectCrcs !== undefined) for (const crc of expectCrcs) numbers.push(crc)
    packPlace(transfer.to)
    for (const piece of transfer.pieces) packPiece(piece)
    if (own.length > 0) literals.push(joined(own, take))
    own = []
  }
  return { numbers: Float64Array.from(numbers), texts, literals }
}

/** The transfers again, each with its scope's number; `id` is the ticket. */
export function unpackTransfers({
  numbers,
  texts,
  literals,
}: PackedTransfers): { scope: number; transfer: Transfer }[] {
  const read = reader(numbers, texts)
  let [nth, literal] = [0, 0]
  let own: Uint8Array | undefined
  const count = read.number()
  const stores = Array.from({ length: read.number() }, () => read.text())
  const place = (): Place => {
    const kind = read.number()
    if (kind === PLACE.part) {
      const [store, partNumber, offset] = [stores[read.number()] ?? '', read.number(), read.number()]
      return { kind: 'part', store, key: read.text(), uploadId: read.text(), partNumber, offset }
    }
    if (kind === PLACE.file) return { kind: 'file', offset: read.number(), path: read.text() }
    if (kind === PLACE.memory) return { kind: 'memory' }
    const [mode, durable, renamed] = [read.number(), read.number() === 1, read.number() === 1]
    const path = read.text()
    return { kind: 'whole', temp: renamed ? read.text() : undefined, path, mode, durable }
  }
  const piece = (): Piece => {
    const [kind, at, length] = [read.number(), read.number(), read.number()]
    if (kind === PIECE.file) return { kind: 'file', at, length, offset: read.number(), path: read.text() }
    if (kind === PIECE.bytes) {
      own ??= literals[nth++] ?? new Uint8Array(0)
      const bytes = own.subarray(literal, literal + length)
      literal += length
      return { kind: 'bytes', at, length, bytes }
    }
    const [offset, size, store] = [read.number(), read.number(), stores[read.number()] ?? '']
    const versioned = read.number() === 1
    const [key, etag] = [read.text(), read.text()]
    const versionId = versioned ? read.text() : undefined
    return { kind: 'object', at, length, store, key, offset, size, etag, versionId }
  }
  return Array.from({ length: count }, () => {
    const [id, scope] = [read.number(), read.number()]
    const [length, pieces, expected] = [read.number(), read.number(), read.number()]
    const stream = read.number() === 1
    const sumFrom = read.number() || undefined
    const expectCrcs = expected < 0 ? undefined : Array.from({ length: expected }, () => read.number())
    const to = place()
    own = undefined
    literal = 0
    const made = { id, length, to, expectCrcs, sumFrom, pieces: Array.from({ length: pieces }, piece) }
    return { scope, transfer: stream ? { ...made, stream } : made }
  })
}

/** The memory of a transfer's literal pieces, which goes back when it is over. */
export function literalsOf({ pieces }: Transfer): ArrayBuffer | undefined {
  for (const piece of pieces) if (piece.kind === 'bytes') return piece.bytes.buffer as ArrayBuffer
  return undefined
}

/** Bodies are to be transferred: their memory must be their own. */
export function packResults(results: readonly TransferResult[]): PackedResults {
  const numbers: number[] = [results.length]
  const packed = { texts: [] as string[], errors: [] as PlainError[], bodies: [] as Uint8Array[] }
  for (const result of results) {
    numbers.push(result.id, result.ok ? 1 : 0)
    if (!result.ok) {
      numbers.push(result.piece ?? -1)
      packed.errors.push(plainError(result.error))
      continue
    }
    const { blockCrcs, checks, etag, body, part } = result
    numbers.push(part === undefined ? -1 : part.at)
    numbers.push(result.bytes, result.crc32, blockCrcs.length)
    if (blockCrcs.length > 1) for (const crc of blockCrcs) numbers.push(crc)
    for (const check of CHECKS) numbers.push(checks[check] ?? 0)
    numbers.push(etag === undefined ? 0 : 1, body === undefined ? 0 : 1)
    if (etag !== undefined) packed.texts.push(etag)
    if (body !== undefined) packed.bodies.push(body)
  }
  return { numbers: Float64Array.from(numbers), ...packed }
}

export function unpackResults({ numbers, texts, errors, bodies }: PackedResults): TransferResult[] {
  const read = reader(numbers, texts)
  let [failed, returned] = [0, 0]
  return Array.from({ length: read.number() }, (): TransferResult => {
    const [id, ok] = [read.number(), read.number() === 1]
    if (!ok) {
      const piece = read.number()
      const plain = errors[failed++] ?? plainError('lost')
      return { id, ok, error: fromPlain(plain), piece: piece < 0 ? undefined : piece }
    }
    const at = read.number()
    const [bytes, crc32, blocks] = [read.number(), read.number(), read.number()]
    const blockCrcs =
      blocks > 1 ? Array.from({ length: blocks }, () => read.number()) : [crc32].slice(0, blocks)
    const checks: Partial<Record<Check, number>> = {}
    for (const check of CHECKS) {
      const times = read.number()
      if (times > 0) checks[check] = times
    }
    const [tagged, bodied] = [read.number() === 1, read.number() === 1]
    return {
      ...{ id, ok, bytes, blockCrcs, crc32, checks },
      etag: tagged ? read.text() : undefined,
      body: bodied ? bodies[returned++] : undefined,
      ...(at < 0 ? {} : { part: { at } }),
    }
  })
}

function reader(numbers: Float64Array, texts: readonly string[]) {
  let [n, t] = [0, 0]
  return { number: () => numbers[n++] ?? 0, text: () => texts[t++] ?? '' }
}

function joined(parts: readonly Uint8Array[], take: (bytes: number) => ArrayBuffer): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const all = new Uint8Array(take(length), 0, length)
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}
