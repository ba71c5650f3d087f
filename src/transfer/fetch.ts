import { LongshoreError } from '../errors.ts'
import type { CallOptions, Check, GetRequest, GotBytes } from '../s3/store.ts'
import type { Begun } from '../s3/wire/types.ts'
import { type Core, callOptions, type DataStore, storeOf } from './core.ts'
import type { Job } from './scope.ts'
import { FAILED, type Finished, inTurn, type Source } from './slots.ts'
import type { ObjectPiece, Piece, Transfer } from './types.ts'

/** Which piece an error belongs to, for results; not part of the error, whose message names the object. */
const PIECE_OF = new WeakMap<object, number>()

export function markPiece(error: unknown, index: number): void {
  if (typeof error === 'object' && error !== null) PIECE_OF.set(error, index)
}

export function pieceOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null ? PIECE_OF.get(error) : undefined
}

/** Where a transfer of one object's bytes waits: for those that go to memory somebody waits who has work for others. */
export function queueFor({ slots }: Core, { to }: Transfer): (source: Source) => void {
  return to.kind === 'memory' ? slots.upload : slots.download
}

/** A transfer of one object's bytes, the most frequent by far: no more than its request. Returns what it passed. */
export async function fetchOnly(
  core: Core,
  { transfer, piece }: { transfer: Transfer; piece: ObjectPiece },
  into: Uint8Array,
  signal: AbortSignal,
): Promise<GotBytes> {
  try {
    const got = await inTurn(queueFor(core, transfer), signal, into.length, () =>
      fetchInto(core, piece, into, { signal, sum: true }),
    )
    core.counters.bytesIn(into.length)
    return got
  } catch (error) {
    if (!signal.aborted) markPiece(error, 0)
    throw error
  }
}

/** What aborts a transfer, and what its own failure aborts: of one with several pieces, the others. */
export interface Under extends Job {
  readonly signal: AbortSignal
}

/**
 * Fills a transfer's buffer from its pieces; it is asked for when the first of them has its turn. When one fails the
 * others are aborted, and waited for: nobody writes to the buffer any more when this settles. `only`: the byte ranges
 * to fill again, others keep what they have.
 */
export async function fetchPieces(
  core: Core,
  transfer: Transfer,
  memory: () => Uint8Array,
  about: {
    under: Under
    checks: Partial<Record<Check, number>>
    only?: (piece: Piece) => boolean
  },
): Promise<void> {
  const { under, checks, only } = about
  const { signal } = under
  let failure: { error: unknown } | undefined
  const fail = (error: unknown, index: number) => {
    if (failure !== undefined) return
    markPiece(error, index)
    failure = { error }
    under.abort(error)
  }
  const objects: ObjectPiece[] = []
  const indexes: number[] = []
  for (const [index, piece] of transfer.pieces.entries()) {
    if (piece.kind !== 'object' || (only !== undefined && !only(piece))) continue
    objects.push(piece)
    indexes.push(index)
  }
  const files: Promise<void>[] = []
  let into: Uint8Array | undefined
  const open = (): Uint8Array => {
    if (into !== undefined) return into
    const bytes = memory()
    for (const [index, piece] of transfer.pieces.entries()) {
      if (piece.kind === 'object' || (only !== undefined && !only(piece))) continue
      if (piece.kind === 'bytes') bytes.set(piece.bytes, piece.at)
      else {
        const place = bytes.subarray(piece.at, piece.at + piece.length)
        files.push(core.io.read(piece.path, piece.offset, place).catch((error) => fail(error, index)))
      }
    }
    into = bytes
    return bytes
  }
  if (objects.length > 0) await fetchObjects()
  else open()
  await Promise.all(files)
  if (failure !== undefined) throw failure.error
  signal.throwIfAborted()

  function fetchObjects(): Promise<void> {
    return new Promise<void>((resolve) => {
      let started = 0
      let running = 0
      const settle = () => {
        if (source.left === 0 && running === 0) resolve()
      }
      const source: Source = {
        left: signal.aborted ? 0 : objects.length,
        signal,
        // Its turn may be far away when others fill the slots: it does not wait for it only to give up then.
        cancel: settle,
        behind() {
          const piece = objects[started]
          return piece !== undefined && isBehind(core, piece)
        },
        begin(finished) {
          const index = indexes[started] ?? 0
          const piece = objects[started++]
          source.left = objects.length - started
          if (piece !== undefined) request(piece, index, finished)
        },
      }
      const request = (piece: ObjectPiece, index: number, finished: Finished) => {
        running++
        const over = (bytes: number) => {
          running--
          settle()
          finished(bytes)
        }
        const done = ({ check }: GotBytes) => {
          core.counters.bytesIn(piece.length)
          checks[check] = (checks[check] ?? 0) + 1
          over(piece.length)
        }
        const failed = (error: unknown) => {
          fail(error, index)
          over(FAILED)
        }
        const trouble: Begun['trouble'] = (rest) => void rest().then(done, failed)
        let place: Uint8Array
        try {
          const bytes = open()
          place = new Uint8Array(bytes.buffer, bytes.byteOffset + piece.at, piece.length)
        } catch (error) {
          return trouble(() => Promise.reject(error))
        }
        beginObject(core, piece, place, { signal, sum: false, begun: { done, trouble } })
      }
      if (source.left === 0) return resolve()
      core.slots.download(source)
    })
  }
}

/**
 * One object's bytes without a promise, as long as all goes well: functions that wait for each other cost a pack of
 * small objects 4% of its CPU. Never throws. Counting the bytes is the caller's, as of fetchObject.
 */
export function beginObject(
  core: Core,
  piece: ObjectPiece,
  into: Uint8Array,
  { signal, sum, begun }: { signal: AbortSignal; sum: boolean; begun: Begun },
): void {
  const { key, offset, size, etag, versionId } = piece
  const store = core.stores.get(piece.store)
  if (signal.aborted) begun.trouble(() => Promise.reject(signal.reason))
  else if (store?.beginGet === undefined || core.pace.limited || offset < 0 || offset + piece.length > size)
    begun.trouble(() => fetchInto(core, piece, into, { signal, sum }))
  else {
    const request = { key, offset, size, etag, versionId, sum }
    store.beginGet(request, into, callOptions(core, signal), begun)
  }
}

/** Whether a request for that piece would only wait behind others on a connection. */
export function isBehind({ stores, pace }: Core, { store, etag, length }: ObjectPiece): boolean {
  return !pace.limited && stores.get(store)?.asksAhead?.(etag, length) === true
}

/** One object's bytes, by whichever request of the store's `get` makes. Waits for the rate limit first. */
export async function fetchObject(
  core: Core,
  piece: ObjectPiece,
  { signal, sum }: { signal: AbortSignal; sum: boolean },
  get: (store: DataStore, request: GetRequest, options: CallOptions) => Promise<GotBytes>,
): Promise<GotBytes> {
  const { key, offset, length, size, etag, versionId } = piece
  const store = storeOf(core, piece.store)
  if (offset < 0 || offset + length > size) {
    throw new LongshoreError('INTERNAL', `${store.url}/${key}: bytes past its end were planned`, {
      path: key,
    })
  }
  if (core.pace.limited) await core.pace.spend(length, signal)
  return get(store, { key, offset, size, etag, versionId, sum }, callOptions(core, signal))
}

function fetchInto(
  core: Core,
  piece: ObjectPiece,
  into: Uint8Array,
  how: { signal: AbortSignal; sum: boolean },
): Promise<GotBytes> {
  return fetchObject(core, piece, how, (store, request, options) => store.getInto(request, into, options))
}
