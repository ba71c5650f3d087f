import type { GotBytes } from '../s3/store.ts'
import { noSums, openBlockSums, sumsNow, wrongBlocks } from './blocks.ts'
import { type Core, type DataStore, onDisk } from './core.ts'
import { fetchObject, markPiece } from './fetch.ts'
import { inTurn } from './slots.ts'
import type { ObjectPiece, Transfer, TransferDone } from './types.ts'

/**
 * bytes that are read, summed and written at a time. A core's own cache holds them (L2: 1 MiB and more): a part that
 * goes by memory first is fetched from there three times, and its pages have to be made.
 */
export const WINDOW_BYTES = 512 * 1024

/** A transfer whose bytes need no memory of their own: from the socket to the file, window by window. */
export interface Through {
  transfer: Transfer
  piece: ObjectPiece
  path: string
  /** Where the transfer begins in the file. */
  offset: number
  get: NonNullable<DataStore['getThrough']>
}

/** undefined: it has to go by memory. Only a thread that is watched may wait for a disk. */
export function goesThrough(core: Core, transfer: Transfer): Through | undefined {
  const { to, pieces } = transfer
  const piece = pieces[0]
  if (core.thread === undefined || to.kind !== 'file' || pieces.length !== 1) return undefined
  if (piece?.kind !== 'object' || piece.length <= WINDOW_BYTES || piece.length === piece.size)
    return undefined
  const get = core.stores.get(piece.store)?.getThrough
  return get === undefined ? undefined : { transfer, piece, path: to.path, offset: to.offset, get }
}

/**
 * Settles when nobody writes to the file any more. 'damaged': all is there, but blocks differ from what the planner
 * knows. undefined: the disk is slow at the moment, and nothing was asked for yet.
 */
export async function carryThrough(
  core: Core,
  { transfer, piece, path, offset, get }: Through,
  signal: AbortSignal,
): Promise<TransferDone | 'damaged' | undefined> {
  const file = await core.io.openNow(path)
  if (file === undefined) return undefined
  const { length } = transfer
  const memory = core.buffers.take(WINDOW_BYTES)
  let sums: ReturnType<typeof openBlockSums> | undefined
  let diskFailure: unknown
  const take = (at: number, bytes: Uint8Array) => {
    // Not before: it may have waited long for its turn.
    if (at === 0) sums = sumsNow(transfer) ? openBlockSums() : undefined
    sums?.take(at, bytes)
    try {
      onDisk(core, transfer, () => file.write(offset + at, bytes))
    } catch (error) {
      diskFailure = error
      throw error
    }
  }
  const fetch = async (): Promise<GotBytes> => {
    const window = { length, memory, take }
    const got = await fetchObject(core, piece, { signal, sum: false }, (_, request, options) =>
      get(request, window, options),
    )
    core.counters.bytesIn(length)
    return got
  }
  try {
    const { check } = await inTurn(core.slots.download, signal, length, fetch)
    const { blockCrcs, crc32 } = sums?.end(length) ?? noSums()
    const wrong = wrongBlocks(blockCrcs, transfer.expectCrcs)
    if (wrong.length === 0) {
      return { id: transfer.id, ok: true, bytes: length, blockCrcs, crc32, checks: { [check]: 1 } }
    }
    core.counters.retry(`GET: ${wrong.length} blocks do not have their checksum`, false)
    return 'damaged'
  } catch (error) {
    if (!signal.aborted && error !== diskFailure) markPiece(error, 0)
    throw error
  } finally {
    core.buffers.give(memory)
    await file.close()
  }
}
