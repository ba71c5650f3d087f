import { setMaxListeners } from 'node:events'
import { crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import type { Check } from '../s3/store.ts'
import { sumBlocks, wrongBlocks } from './blocks.ts'
import { type Core, callOptions, inSlot, storeOf } from './core.ts'
import { fetchPieces } from './fetch.ts'
import { isStuck } from './local-io.ts'
import { BLOCK_BYTES, type Piece, type Transfer, type TransferDone } from './types.ts'

/** One transfer from its pieces to its place, in a buffer whose bytes (`held`) the caller has from the budget. */
export async function carry(
  core: Core,
  transfer: Transfer,
  controller: AbortController,
): Promise<TransferDone> {
  const { length } = transfer
  // Hundreds of its pieces may be on their way at once, and each listens.
  setMaxListeners(0, controller.signal)
  checkPieces(transfer)
  const keeps = transfer.to.kind === 'memory'
  const buffer = keeps ? Buffer.allocUnsafeSlow(length) : core.buffers.take(length)
  const bytes = buffer.subarray(0, length)
  let reusable = !keeps
  core.open.add(controller)
  try {
    const checks: Partial<Record<Check, number>> = {}
    await fetchPieces(core, transfer, bytes, { controller, checks })
    const sums = await verified(core, transfer, bytes, controller)
    const delivered = await deliver(core, transfer, bytes, sums.crc32, controller.signal)
    return { id: transfer.id, ok: true, bytes: length, ...sums, checks, ...delivered }
  } catch (error) {
    // The kernel may still read from it, or write to it, whenever that disk comes back.
    if (isStuck(error)) reusable = false
    throw error
  } finally {
    core.open.delete(controller)
    if (reusable) core.buffers.give(buffer)
  }
}

/** Sums the blocks; those that differ from what the planner knows are fetched once more. */
async function verified(
  core: Core,
  transfer: Transfer,
  bytes: Uint8Array,
  controller: AbortController,
): Promise<{ blockCrcs: number[]; crc32: number }> {
  const sums = sumBlocks(bytes)
  const wrong = wrongBlocks(sums.blockCrcs, transfer.expectCrcs)
  if (wrong.length === 0) return sums
  core.stats.retries++
  core.onRetry?.(`GET: ${wrong.length} blocks do not have their checksum`)
  const only = (piece: Piece) => wrong.some((n) => overlaps(piece, n))
  await fetchPieces(core, transfer, bytes, { controller, checks: {}, only })
  const again = sumBlocks(bytes)
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
      return { body }
    case 'file':
      await core.io.writeAt(to.path, to.offset, body)
      return {}
    case 'whole':
      await core.io.writeWhole(to, body)
      return {}
    case 'part': {
      const { key, uploadId, partNumber, offset } = to
      const store = storeOf(core, to.store)
      const part = await inSlot(core, body.length, signal, () =>
        store.putPart({ key, uploadId, partNumber, offset, body, crc32 }, callOptions(core, signal)),
      )
      core.stats.bytesOut += body.length
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
      core.stats.bytesOut += body.length
      return { etag: outcome.etag }
    }
  }
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
