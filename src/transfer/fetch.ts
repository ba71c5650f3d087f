import { LongshoreError } from '../errors.ts'
import type { Check } from '../s3/store.ts'
import { type Core, callOptions, storeOf } from './core.ts'
import type { ObjectPiece, Piece, Transfer } from './types.ts'

/** Which piece an error belongs to, for results; not part of the error, whose message names the object. */
const PIECE_OF = new WeakMap<object, number>()

export function pieceOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null ? PIECE_OF.get(error) : undefined
}

/**
 * Fills a transfer's buffer from its pieces. When one fails the others are aborted, and waited for: nobody writes
 * to the buffer any more when this settles. `only`: the byte ranges to fill again, others keep what they have.
 */
export async function fetchPieces(
  core: Core,
  transfer: Transfer,
  into: Uint8Array,
  about: {
    controller: AbortController
    checks: Partial<Record<Check, number>>
    only?: (piece: Piece) => boolean
  },
): Promise<void> {
  const { controller, checks, only } = about
  const { signal } = controller
  let failure: { error: unknown } | undefined
  const fail = (error: unknown, index: number) => {
    if (failure !== undefined) return
    if (typeof error === 'object' && error !== null) PIECE_OF.set(error, index)
    failure = { error }
    controller.abort(error)
  }
  const objects: number[] = []
  const files: Promise<void>[] = []
  for (const [index, piece] of transfer.pieces.entries()) {
    if (only !== undefined && !only(piece)) continue
    const place = into.subarray(piece.at, piece.at + piece.length)
    if (piece.kind === 'bytes') place.set(piece.bytes)
    else if (piece.kind === 'object') objects.push(index)
    else files.push(core.io.read(piece.path, piece.offset, place).catch((error) => fail(error, index)))
  }
  if (objects.length > 0) await fetchObjects()
  await Promise.all(files)
  if (failure !== undefined) throw failure.error
  signal.throwIfAborted()

  function fetchObjects(): Promise<void> {
    return new Promise<void>((resolve) => {
      let started = 0
      let running = 0
      let exhausted = false
      const settle = () => {
        if (!exhausted || running > 0) return
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      // Its turn may be far away when others fill the slots: it does not wait for it only to give up then.
      const onAbort = () => {
        exhausted = true
        settle()
      }
      if (signal.aborted) return onAbort()
      signal.addEventListener('abort', onAbort)
      core.slots.download(() => {
        const index = signal.aborted ? undefined : objects[started++]
        const piece = index === undefined ? undefined : transfer.pieces[index]
        if (index === undefined || piece?.kind !== 'object') {
          exhausted = true
          settle()
          return undefined
        }
        running++
        const place = into.subarray(piece.at, piece.at + piece.length)
        return async () => {
          try {
            const check = await fetchObject(core, piece, place, signal)
            checks[check] = (checks[check] ?? 0) + 1
            return piece.length
          } catch (error) {
            fail(error, index)
            return 0
          } finally {
            running--
            settle()
          }
        }
      })
    })
  }
}

async function fetchObject(
  core: Core,
  piece: ObjectPiece,
  into: Uint8Array,
  signal: AbortSignal,
): Promise<Check> {
  const { key, offset, size, etag, versionId } = piece
  const store = storeOf(core, piece.store)
  if (offset < 0 || offset + piece.length > size) {
    throw new LongshoreError('INTERNAL', `${store.url}/${key}: bytes past its end were planned`, {
      path: key,
    })
  }
  await core.pace.spend(into.length, signal)
  const got = await store.getInto({ key, offset, size, etag, versionId }, into, callOptions(core, signal))
  core.stats.bytesIn += into.length
  return got.check
}
