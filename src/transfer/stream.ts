import { openBusyShare } from '../busy-share.ts'
import { crc32 } from '../checksum/crc32.ts'
import { noSums, sumsNow } from './blocks.ts'
import { type Core, callOptions, type DataStore, onDisk } from './core.ts'
import { inTurn } from './slots.ts'
import { WINDOW_BYTES } from './through.ts'
import { BLOCK_BYTES, type ObjectPiece, type Transfer, type TransferDone } from './types.ts'

/** ms until a stream has to show that it keeps this thread busy, and between two looks from then on */
const FIRST_LOOK_MS = 100
const LOOK_MS = 50
/** Share of its time that this thread has to be busy: else more requests at a time bring more. */
const BUSY = 0.5

/** Not a failure: ranges go on from where the stream came to. */
const ENOUGH = new Error('the rest by ranges')

/**
 * A whole object as one stream to its file. Where the threads are what limits, it costs less than ranges: a request a
 * file, and a server may send a whole file past its own memory (sendfile). It ends early, and the result says where,
 * as soon as it is no longer worth it: the thread has time to spare, nothing comes, the disk is slow, the request
 * failed, a block is not what it should be. Whatever is wrong shows again in the ranges, which know how to tell.
 */
export async function carryStream(
  core: Core,
  transfer: Transfer,
  signal: AbortSignal,
  { tell, watch = watchWorth }: { tell: (part: TransferDone) => void; watch?: typeof watchWorth },
): Promise<TransferDone> {
  const { id, length, to, expectCrcs } = transfer
  const done = (at: number, bytes: number, crc: number | undefined): TransferDone => ({
    ...{ id, ok: true, bytes, ...(crc === undefined ? noSums() : { blockCrcs: [crc], crc32: crc }) },
    checks: { size: 1 },
    part: { at },
  })
  const found = source(core, transfer)
  const file = found === undefined || to.kind !== 'file' ? undefined : await core.io.openNow(to.path)
  let told = 0
  if (found === undefined || to.kind !== 'file' || file === undefined) return ended(transfer, told)
  const { piece, get } = found
  const memory = core.buffers.take(WINDOW_BYTES)
  const stop = new AbortController()
  let at = 0
  /** Of the block that is coming; undefined: it needs none. */
  let crc: number | undefined
  let diskFailure: { error: unknown } | undefined
  const tellBlock = () => {
    const expected = expectCrcs?.[Math.floor(told / BLOCK_BYTES)]
    if (expected !== undefined && expected !== crc) throw ENOUGH
    tell(done(told, at - told, crc))
    told = at
  }
  const take = (from: number, bytes: Uint8Array) => {
    // Asked anew after a failure, it would begin anew.
    if (from !== at) throw ENOUGH
    if (at === told) crc = sumsNow(transfer) ? 0 : undefined
    if (crc !== undefined) crc = crc32(bytes, crc)
    try {
      onDisk(core, transfer, () => file.write(to.offset + at, bytes))
    } catch (error) {
      diskFailure = { error }
      throw error
    }
    core.counters.bytesIn(bytes.length)
    at += bytes.length
    if (at % BLOCK_BYTES === 0 || at === length) tellBlock()
  }
  const request = async () => {
    const look = watch(core, () => at)
    let timer = setTimeout(next, core.thread?.firstLookMs ?? FIRST_LOOK_MS)
    function next() {
      if (!look()) return stop.abort(ENOUGH)
      timer = setTimeout(next, LOOK_MS)
    }
    const { key, offset, size, etag, versionId } = piece
    const either = AbortSignal.any([signal, stop.signal])
    try {
      await get(
        { key, offset, size, etag, versionId },
        { length, memory, take, once: true },
        callOptions(core, either),
      )
    } finally {
      clearTimeout(timer)
    }
  }
  try {
    await inTurn(core.slots.download, signal, length, request)
  } catch {
    signal.throwIfAborted()
    if (diskFailure !== undefined) throw diskFailure.error
  } finally {
    core.buffers.give(memory)
    await file.close()
  }
  // Of a block with a checksum of its own, a part proves nothing.
  if (at > told && expectCrcs === undefined) tellBlock()
  return ended(transfer, told)
}

interface Source {
  piece: ObjectPiece
  get: NonNullable<DataStore['getWhole']>
}

/** undefined: this has to go by ranges. Only a thread that is watched may wait for a disk. */
function source(core: Core, { length, pieces }: Transfer): Source | undefined {
  const piece = pieces[0]
  if (core.thread === undefined || core.pace.limited || pieces.length !== 1) return undefined
  if (piece?.kind !== 'object' || piece.offset !== 0 || piece.size !== length) return undefined
  const get = core.stores.get(piece.store)?.getWhole
  return get === undefined ? undefined : { piece, get }
}

/** Whether it is worth going on, since it was asked last. */
function watchWorth(core: Core, position: () => number): () => boolean {
  const busyShare = openBusyShare()
  let at = position()
  return () => {
    const busy = busyShare()
    const moved = position() > at
    at = position()
    return moved && busy >= BUSY && !core.io.slow
  }
}

function ended({ id }: Transfer, bytes: number): TransferDone {
  return { id, ok: true, bytes, ...noSums(), checks: {} }
}
