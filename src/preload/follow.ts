import { closeSync, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import type { Range } from '../fetch/plan-ranges.ts'
import { diskError } from '../fs/disk-error.ts'
import { errorCode } from '../fs/error-code.ts'

/** The reader has gone (EPIPE): it has what it wanted, and that is no error. */
export class ReaderGone extends Error {}

/** Writes a file to an output in order, while its ranges arrive in any order. */
export interface Follower {
  /** The range's bytes are in `temp`, checked. */
  onRange(temp: string, range: Range): void
  /** Runs until the file is complete, or `stop` was called. Rejects with ReaderGone. */
  run(): Promise<void>
  /** No further range comes. */
  stop(): void
  /** The rest, from the finished file. */
  finish(final: string): Promise<void>
  readonly written: number
  close(): void
}

const CHUNK_BYTES = 1024 * 1024

/** The signal also ends the wait for a reader that has stopped reading. */
export function createFollower(output: Writable, size: number, signal: AbortSignal): Follower {
  const there = new Map<number, number>()
  const sink = createSink(output, signal)
  // Opened as soon as it has bytes: the name changes when the file is complete, the descriptor stays.
  let fd: number | undefined
  let handle: FileHandle | undefined
  let wake: (() => void) | undefined
  let stopped = false
  let at = 0
  const copy = async (file: { path: string } | { fd: number }, end: number): Promise<void> => {
    handle ??= await open('fd' in file ? `/proc/self/fd/${file.fd}` : file.path, 'r')
    while (at < end) {
      const { bytesRead, buffer } = await handle.read({
        buffer: Buffer.allocUnsafe(Math.min(CHUNK_BYTES, end - at)),
        position: at,
      })
      if (bytesRead === 0) throw new Error('the file ended early')
      await sink.write(buffer.subarray(0, bytesRead))
      at += bytesRead
    }
  }
  return {
    get written() {
      return at
    },
    onRange(temp, { offset, length }) {
      fd ??= openSync(temp, 'r')
      there.set(offset, length)
      wake?.()
    },
    async run() {
      while (at < size) {
        const length = there.get(at)
        if (length !== undefined && fd !== undefined) {
          there.delete(at)
          await copy({ fd }, at + length)
        } else if (stopped) return
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    },
    stop() {
      stopped = true
      wake?.()
    },
    async finish(final) {
      if (at === size) return
      await handle?.close()
      handle = undefined
      await copy({ path: final }, size)
    },
    close() {
      sink.close()
      if (fd !== undefined) closeSync(fd)
      fd = undefined
      handle?.close().catch(() => {})
    },
  }
}

function createSink(
  output: Writable,
  signal: AbortSignal,
): { write(chunk: Buffer): Promise<void>; close(): void } {
  let failed: unknown
  let gone: (() => void) | undefined
  const onError = (error: unknown): void => {
    failed = errorCode(error) === 'EPIPE' ? new ReaderGone('EPIPE') : diskError(error, 'standard output')
    gone?.()
  }
  const onClose = (): void => {
    failed ??= new ReaderGone('closed')
    gone?.()
  }
  const onAbort = (): void => {
    failed ??= signal.reason
    gone?.()
  }
  output.on('error', onError)
  output.on('close', onClose)
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()
  return {
    async write(chunk) {
      if (output.destroyed) failed ??= new ReaderGone('closed')
      if (failed) throw failed
      if (output.write(chunk)) return
      await new Promise<void>((resolve) => {
        gone = resolve
        output.once('drain', resolve)
      })
      gone = undefined
      if (failed) throw failed
    },
    close() {
      output.off('close', onClose)
      signal.removeEventListener('abort', onAbort)
      // Not the error listener: an EPIPE that is told late must not end the process.
    },
  }
}
