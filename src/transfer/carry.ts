import { crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import type { Check, GotBytes } from '../s3/store.ts'
import { sumBlocks, wrongBlocks } from './blocks.ts'
import { type Core, callOptions, inSlot, onDisk, storeOf } from './core.ts'
import { fetchOnly, fetchPieces, type Under } from './fetch.ts'
import { isStuck } from './local-io.ts'
import { carryThrough, goesThrough } from './through.ts'
import { BLOCK_BYTES, type Piece, type Transfer, type TransferDone } from './types.ts'

interface Sums {
  blockCrcs: number[]
  crc32: number
}

/** The fetch of a transfer's only piece has begun already; `buffer` is of core.buffers. */
export interface BegunFetch {
  buffer: Buffer | undefined
  got: Promise<GotBytes>
}

/**
 * One transfer from its pieces to its place, in a buffer whose bytes the caller has from the budget. When it settles
 * nobody touches the buffer any more, unless the disk is stuck.
 */
export async function carry(
  core: Core,
  transfer: Transfer,
  under: Under,
  begun?: BegunFetch,
): Promise<TransferDone> {
  const { length, to } = transfer
  checkPieces(transfer)
  const through = goesThrough(core, transfer)
  const went = through && (await carryThrough(core, through, under.signal))
  if (went !== undefined && went !== 'damaged') return went
  // What leaves a thread must never have been a socket's buffer: it is copied at the end.
  const keeps = to.kind === 'memory' && core.thread === undefined
  let buffer = begun?.buffer
  // When the first byte is on its way, not before: of sixteen parts that wait for their turn, three are being filled.
  const memory = () => {
    buffer ??= keeps ? Buffer.allocUnsafeSlow(length) : core.buffers.take(length)
    return buffer.subarray(0, length)
  }
  let reusable = !keeps
  try {
    const checks: Partial<Record<Check, number>> = {}
    const about = { under, checks, again: went === 'damaged', begun }
    const sums = await fill(core, transfer, memory, about)
    const delivered = await deliver(core, transfer, memory(), sums.crc32, under.signal)
    return { id: transfer.id, ok: true, bytes: length, ...sums, checks, ...delivered }
  } catch (error) {
    // The kernel may still read from it, or write to it, whenever that disk comes back.
    if (isStuck(error)) reusable = false
    throw error
  } finally {
    if (buffer !== undefined && reusable) core.buffers.give(buffer)
    else if (buffer !== undefined && !keeps) core.buffers.lose(buffer)
  }
}

/** The bytes and their sums; blocks that differ from what the planner knows are fetched once more, but not `again`. */
async function fill(
  core: Core,
  transfer: Transfer,
  memory: () => Uint8Array,
  about: {
    under: Under
    checks: Partial<Record<Check, number>>
    again: boolean
    begun: BegunFetch | undefined
  },
): Promise<Sums> {
  const only = transfer.pieces.length === 1 ? transfer.pieces[0] : undefined
  let sums: Sums
  if (only?.kind === 'object') {
    const bytes = memory()
    const got = await (about.begun?.got ??
      fetchOnly(core, { transfer, piece: only }, bytes, about.under.signal))
    about.checks[got.check] = 1
    const sum = bytes.length <= BLOCK_BYTES && bytes.length > 0 ? got.crc32 : undefined
    sums = sum === undefined ? sumBlocks(bytes) : { blockCrcs: [sum], crc32: sum }
  } else {
    await fetchPieces(core, transfer, memory, about)
    sums = sumBlocks(memory())
  }
  const wrong = wrongBlocks(sums.blockCrcs, transfer.expectCrcs)
  const [first] = wrong
  if (first === undefined) return sums
  if (about.again) throw damaged(core, transfer, first, sums.blockCrcs[first] ?? 0)
  return refetched(core, transfer, memory, { ...about, wrong })
}

async function refetched(
  core: Core,
  transfer: Transfer,
  memory: () => Uint8Array,
  { under, wrong }: { under: Under; wrong: readonly number[] },
): Promise<Sums> {
  core.counters.retry(`GET: ${wrong.length} blocks do not have their checksum`, false)
  const only = (piece: Piece) => wrong.some((n) => overlaps(piece, n))
  await fetchPieces(core, transfer, memory, { under, checks: {}, only })
  const again = sumBlocks(memory())
  const still = wrongBlocks(again.blockCrcs, transfer.expectCrcs)[0]
  if (still === undefined) return again
  throw damaged(core, transfer, still, again.blockCrcs[still] ?? 0)
}

async function deliver(
  core: Core,
  transfer: Transfer,
  body: Uint8Array,
  crc32: number,
  signal: AbortSignal,
): Promise<Partial<TransferDone>> {
  const { to } = transfer
  signal.throwIfAborted()
  switch (to.kind) {
    case 'memory':
      return { body: core.thread === undefined ? body : copyOf(body) }
    case 'file':
      await core.io.writeAt(to.path, to.offset, body)
      return {}
    case 'whole':
      await onDisk(core, transfer, () => core.io.writeWhole(to, body))
      return {}
    case 'part': {
      const { key, uploadId, partNumber, offset } = to
      const store = storeOf(core, to.store)
      const part = await inSlot(core, body.length, signal, () =>
        store.putPart({ key, uploadId, partNumber, offset, body, crc32 }, callOptions(core, signal)),
      )
      core.counters.bytesOut(body.length)
      return { etag: part.etag }
    }
    case 'object': {
      const { key, absent, metadata } = to
      const store = storeOf(core, to.store)
      const condition = absent ? ('absent' as const) : undefined
      const outcome = await inSlot(core, body.length, signal, () =>
        store.put({ key, body, crc32, condition, metadata }, callOptions(core, signal)),
      )
      if (outcome.status === 'exists') return { exists: true }
      core.counters.bytesOut(body.length)
      return { etag: outcome.etag }
    }
  }
}

/** In memory of its own, which may leave the thread. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}

/** A hole would be filled by whatever an earlier transfer left in the buffer. */
function checkPieces(transfer: Transfer): void {
  const ordered = transfer.pieces.every((p, i, all) => i === 0 || p.at >= (all[i - 1]?.at ?? 0))
  const pieces = ordered ? transfer.pieces : [...transfer.pieces].sort((a, b) => a.at - b.at)
  let end = 0
  for (const piece of pieces) {
    if (piece.at !== end || piece.length < 0) break
    if (piece.kind === 'bytes' && piece.bytes.length !== piece.length) break
    end += piece.length
  }
  if (end === transfer.length) return
  throw new LongshoreError(
    'INTERNAL',
    `transfer ${transfer.id}: its pieces do not cover ${transfer.length} bytes`,
  )
}

function overlaps(piece: Piece, block: number): boolean {
  return piece.at < (block + 1) * BLOCK_BYTES && piece.at + piece.length > block * BLOCK_BYTES
}

function damaged(core: Core, transfer: Transfer, block: number, sum: number): LongshoreError {
  const piece = transfer.pieces.find((p) => p.kind !== 'bytes' && overlaps(p, block))
  const path = piece === undefined || piece.kind === 'bytes' ? `transfer ${transfer.id}` : nameOf(core, piece)
  const expected = transfer.expectCrcs?.[block]
  const sums = `${crcHex(sum)} instead of ${expected === undefined ? 'none' : crcHex(expected)}`
  return new LongshoreError('INTEGRITY', `${path}: block ${block} has CRC-32 ${sums}, twice`, {
    path,
    hint: 'the stored bytes are damaged: write the object anew, or take another copy',
  })
}

function nameOf(core: Core, piece: Exclude<Piece, { kind: 'bytes' }>): string {
  return piece.kind === 'file' ? piece.path : `${storeOf(core, piece.store).url}/${piece.key}`
}
