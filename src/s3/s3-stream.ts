import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { LongshoreError } from '../errors.ts'
import { writeInput } from './input.ts'
import type { Session } from './send.ts'
import type { CallOptions, WriteOutcome } from './store.ts'

/** lib-storage holds four of these. A stream of unknown length may grow to 156 GiB in 10,000 parts. */
const STREAM_PART_BYTES = 16 * 1024 * 1024
/** ms that a stopped stream still has to learn its upload's id and to take the upload back. */
const TAKE_BACK_MS = 5000

/** What lib-storage's commands are counted as. */
const KINDS: Record<string, string> = {
  PutObjectCommand: 'PUT',
  CreateMultipartUploadCommand: 'CREATE',
  UploadPartCommand: 'PART',
  CompleteMultipartUploadCommand: 'COMPLETE',
  AbortMultipartUploadCommand: 'ABORT',
}

/** A stream of unknown length, by lib-storage. When it fails or is stopped no upload stays open. */
export async function putStreamS3(
  session: Session,
  key: string,
  body: Readable,
  options: CallOptions = {},
): Promise<WriteOutcome> {
  const { signal } = options
  const source = stoppable(body)
  // Ended by its body: lib-storage's own abort() forgets the requests that are under way, and their upload.
  const stop = () => source.stop(signal?.reason)
  const outlived = outlive(signal)
  try {
    signal?.throwIfAborted()
    signal?.addEventListener('abort', stop, { once: true })
    const { Upload } = await import('@aws-sdk/lib-storage')
    const upload = new Upload({
      client: await clientOf(session, { key, stop: source.stop, options, outlived: outlived.signal }),
      params: {
        ...writeInput(session),
        Key: key,
        Body: source.body,
        ...(session.learned.noChecksums ? {} : { ChecksumAlgorithm: 'CRC32' as const }),
      },
      partSize: STREAM_PART_BYTES,
      queueSize: 4,
    })
    const { ETag } = await upload.done()
    return { status: 'written', etag: ETag ?? '' }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof LongshoreError) throw error
    const path = `${session.url}/${key}`
    const why = error instanceof Error ? error.message : String(error)
    throw new LongshoreError('LOCAL_IO', `${path}: the stream for it broke: ${why}`, { path, cause: error })
  } finally {
    signal?.removeEventListener('abort', stop)
    outlived.clear()
    body.destroy()
  }
}

/** lib-storage asks the client it was given for each request: each goes through our own retry. */
async function clientOf(
  session: Session,
  about: { key: string; stop: (reason: unknown) => void; options: CallOptions; outlived: AbortSignal },
): Promise<S3Client> {
  const { key, stop, options, outlived } = about
  const send = async (command: Parameters<S3Client['send']>[0]) => {
    const kind = KINDS[command.constructor.name] ?? 'PUT'
    // Stopped in the middle of CREATE its id would be lost, and ABORT comes only after the stop.
    const call =
      kind === 'CREATE'
        ? { signal: outlived }
        : kind === 'ABORT'
          ? { signal: AbortSignal.timeout(TAKE_BACK_MS) }
          : {}
    try {
      return await session.send({ ...options, ...call, kind, key }, (client, sendOptions) =>
        client.send(command, sendOptions),
      )
    } catch (error) {
      // What broke before is what the user has to read; an upload that stays open is the lifecycle rule's.
      if (kind === 'ABORT') return {}
      // The other three would read on to the stream's end, however far that is.
      stop(error)
      throw error
    }
  }
  return Object.create(await session.client(), { send: { value: send } })
}

/** A signal that is aborted TAKE_BACK_MS after `signal`. */
function outlive(signal: AbortSignal | undefined): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const start = () => {
    timer = setTimeout(() => controller.abort(signal?.reason), TAKE_BACK_MS)
  }
  signal?.addEventListener('abort', start, { once: true })
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', start)
    },
  }
}

/** The same bytes, and an end at once when they are stopped, even while nothing comes. */
function stoppable(body: Readable): { body: Readable; stop: (reason: unknown) => void } {
  let stopped: { reason: unknown } | undefined
  let fail: ((reason: unknown) => void) | undefined
  async function* chunks() {
    const chunk = body[Symbol.asyncIterator]()
    for (;;) {
      if (stopped !== undefined) throw stopped.reason
      const next = await new Promise<IteratorResult<unknown>>((resolve, reject) => {
        fail = reject
        chunk.next().then(resolve, reject)
      })
      if (next.done) return
      yield next.value
    }
  }
  return {
    body: Readable.from(chunks()),
    stop(reason) {
      stopped ??= { reason }
      fail?.(reason)
    },
  }
}
