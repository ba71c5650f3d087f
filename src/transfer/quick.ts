import type { GotBytes } from '../s3/store.ts'
import type { Begun } from '../s3/wire/types.ts'
import { sumBlocks, wrongBlocks } from './blocks.ts'
import { carry, copyOf } from './carry.ts'
import { type Core, onDisk } from './core.ts'
import { failed } from './failed.ts'
import { beginObject, isBehind, markPiece, queueFor } from './fetch.ts'
import { FAILED, type Finished, type Source } from './slots.ts'
import {
  BLOCK_BYTES,
  type ObjectPiece,
  type Transfer,
  type TransferDone,
  type TransferResult,
} from './types.ts'

/**
 * Begins a transfer of one object's bytes without a promise on its way: nine functions that waited for each other
 * cost a small object 8% of its CPU. Whatever is not plain success goes on in carry(), exactly as if it had
 * begun there. false: the transfer is carry's from the start, nothing was done.
 */
export function startQuick(
  core: Core,
  transfer: Transfer,
  signal: AbortSignal,
  settle: (result: TransferResult) => void,
): boolean {
  const { length, to } = transfer
  const [piece] = transfer.pieces
  if (core.thread === undefined) return false
  if (piece?.kind !== 'object' || piece.at !== 0 || piece.length !== length) return false
  if ((to.kind !== 'whole' && to.kind !== 'memory') || length === 0 || length > BLOCK_BYTES) return false
  queueFor(core, transfer)(new Quick({ core, transfer, piece, signal, settle }))
  return true
}

interface Parts {
  core: Core
  transfer: Transfer
  piece: ObjectPiece
  signal: AbortSignal
  settle: (result: TransferResult) => void
}

/** One transfer: what waits for a slot, what the lane reports to, and what delivers. */
class Quick implements Source, Begun {
  left = 1
  readonly signal: AbortSignal
  private readonly parts: Parts
  /** Taken when its turn has come: what only waits needs no memory. */
  private buffer: Buffer | undefined
  private finished: Finished | undefined

  constructor(parts: Parts) {
    this.parts = parts
    this.signal = parts.signal
  }

  behind(): boolean {
    return isBehind(this.parts.core, this.parts.piece)
  }

  begin(finished: Finished): void {
    this.left = 0
    this.finished = finished
    const { signal } = this
    const { core, piece } = this.parts
    let bytes: Uint8Array
    try {
      this.buffer = core.buffers.take(piece.length)
      bytes = bytesOf(this.buffer, piece.length)
    } catch (error) {
      this.trouble(() => Promise.reject(error))
      return
    }
    beginObject(core, piece, bytes, { signal, sum: true, begun: this })
  }

  cancel(): void {
    const { transfer, settle } = this.parts
    settle(failed(transfer, this.signal.reason))
  }

  done(got: GotBytes): void {
    const { core, piece, transfer, settle } = this.parts
    const { buffer } = this
    core.counters.bytesIn(piece.length)
    // The server works on the next request while this one's bytes are written.
    this.finished?.(piece.length)
    if (buffer === undefined) return
    let result: TransferResult | undefined
    try {
      result = this.deliver(got, bytesOf(buffer, piece.length))
    } catch (error) {
      result = failed(transfer, error)
    }
    if (result === undefined) this.carryOn(Promise.resolve(got))
    else {
      core.buffers.give(buffer)
      settle(result)
    }
  }

  trouble(rest: () => Promise<GotBytes>): void {
    this.carryOn(this.fetched(rest))
  }

  /** With the rest of a fetch that began badly. It keeps its slot until that is over. */
  private async fetched(rest: () => Promise<GotBytes>): Promise<GotBytes> {
    const { core, piece } = this.parts
    try {
      const got = await rest()
      core.counters.bytesIn(piece.length)
      this.finished?.(piece.length)
      return got
    } catch (error) {
      this.finished?.(FAILED)
      if (!this.signal.aborted) markPiece(error, 0)
      throw error
    }
  }

  private carryOn(got: Promise<GotBytes>): void {
    const { core, transfer, settle } = this.parts
    const under = { signal: this.signal, abort() {} }
    // Its rejection is carry's to tell; should carry fail before, it is nobody's.
    got.catch(() => {})
    carry(core, transfer, under, { buffer: this.buffer, got }).then(settle, (error) =>
      settle(failed(transfer, error)),
    )
  }

  /** undefined: nothing was delivered, there is more to do than this. */
  private deliver(got: GotBytes, bytes: Uint8Array): TransferDone | undefined {
    const { core, transfer } = this.parts
    const { id, length, to, expectCrcs } = transfer
    const crc32 = got.crc32 ?? sumBlocks(bytes).crc32
    const blockCrcs = [crc32]
    if (expectCrcs !== undefined && wrongBlocks(blockCrcs, expectCrcs).length > 0) return undefined
    this.signal.throwIfAborted()
    const body = to.kind === 'memory' ? copyOf(bytes) : undefined
    if (to.kind === 'whole') {
      if (to.durable) return undefined
      if (!onDisk(core, transfer, () => core.io.writeWholeNow(to, bytes))) return undefined
    }
    return { id, ok: true, bytes: length, blockCrcs, crc32, checks: { [got.check]: 1 }, body }
  }
}

/** A plain view: Buffer's own subarray() costs as much as a hash. */
function bytesOf(buffer: Buffer, length: number): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length)
}
