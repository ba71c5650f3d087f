import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Reply } from './call.ts'
import type { Effects } from './effects.ts'
import { pause } from './pause.ts'
import { reset } from './reset.ts'
import { sendByHand } from './send-by-hand.ts'
import { turn } from './turn.ts'

/** Writes the answer, with the faults that are about its body. Resolves with the bytes of body that were handed to the socket. */
export async function sendReply(
  response: ServerResponse,
  reply: Reply,
  effects: Effects,
  head: boolean,
): Promise<number> {
  const connection = response.req.socket
  if (!(await turn(response, connection))) return 0
  const { body } = reply
  const length = body?.length ?? (head ? (reply.length ?? 0) : 0)
  const short = effects.shortBody
  const sent = short?.honest ? Math.min(short.bytes, length) : length
  const plain = body === undefined || Buffer.isBuffer(body)
  const bare = reply.status === 204 || reply.status === 304
  const headers = changed(bare ? reply.headers : { ...reply.headers, 'content-length': sent }, effects)
  if (effects.interim === 100) response.writeContinue()
  else if (effects.interim === 102) response.writeProcessing()
  if (effects.cutHeadAfter !== undefined || effects.slowHead !== undefined) {
    const written = bare || head ? undefined : body
    return sendByHand(connection, { status: reply.status, headers, body: written }, effects)
  }
  response.writeHead(reply.status, headers)
  if (bare || head || body === undefined) {
    end(response, undefined, effects)
    return 0
  }
  if (plain && !disturbed(effects)) {
    end(response, body, effects)
    return length
  }
  return sendBody(response, body, effects)
}

function changed(headers: Reply['headers'], effects: Effects): Reply['headers'] {
  const made = { ...headers }
  if (effects.chunked) {
    delete made['content-length']
    made['transfer-encoding'] = 'chunked'
  }
  for (const [name, value] of Object.entries(effects.headers)) {
    if (value === undefined) delete made[name]
    else made[name] = value
  }
  return made
}

function end(response: ServerResponse, body: Buffer | undefined, effects: Effects): void {
  const { socket } = response
  response.end(body)
  if (effects.extraBytes > 0) socket?.write(Buffer.alloc(effects.extraBytes, 'extra'))
}

function disturbed(effects: Effects): boolean {
  const { shortBody, flipAt, resetAfter, stallAfter, bytesPerSecond } = effects
  return [shortBody, flipAt, resetAfter, stallAfter, bytesPerSecond].some((fault) => fault !== undefined)
}

async function sendBody(
  response: ServerResponse,
  body: NonNullable<Reply['body']>,
  effects: Effects,
): Promise<number> {
  const until = Math.min(
    effects.shortBody?.bytes ?? Number.POSITIVE_INFINITY,
    effects.resetAfter ?? Number.POSITIVE_INFINITY,
    effects.stallAfter ?? Number.POSITIVE_INFINITY,
  )
  const chunks = Buffer.isBuffer(body) ? once(body) : body.chunks()
  let sent = 0
  let pending = Promise.resolve()
  try {
    for await (const chunk of slices(chunks, effects.bytesPerSecond, response.req.socket)) {
      const wanted = chunk.subarray(0, until - sent)
      const { flipAt } = effects
      if (flipAt !== undefined && flipAt >= sent && flipAt < sent + wanted.length) {
        const at = flipAt - sent
        wanted.writeUInt8(wanted.readUInt8(at) ^ 1, at)
      }
      // One chunk is read while the one before is on its way; no more, however slow the peer.
      await pending
      if (response.destroyed) return sent
      pending = write(response, wanted)
      sent += wanted.length
      if (sent >= until) break
    }
    await pending
  } catch (error) {
    if (!response.destroyed) response.destroy()
    if (!isGone(error)) throw error
    return sent
  }
  const { socket } = response
  if (effects.resetAfter !== undefined && sent >= effects.resetAfter) reset(socket)
  else if (effects.stallAfter !== undefined && sent >= effects.stallAfter) return sent
  else if (effects.shortBody !== undefined && !effects.shortBody.honest && sent >= effects.shortBody.bytes)
    socket?.end()
  else end(response, undefined, effects)
  return sent
}

async function* once(body: Buffer): AsyncGenerator<Buffer> {
  yield body
}

/** Throttled: at most a tenth of a second's bytes at a time, then a tenth of a second's pause. */
export async function* slices(
  chunks: AsyncIterable<Buffer>,
  bytesPerSecond: number | undefined,
  connection: Socket,
): AsyncGenerator<Buffer> {
  if (bytesPerSecond === undefined) return yield* chunks
  const step = Math.max(1, Math.floor(bytesPerSecond / 10))
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length; at += step) {
      const slice = chunk.subarray(at, at + step)
      yield slice
      await pause((slice.length / bytesPerSecond) * 1000, connection)
    }
  }
}

function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    const gone = () => resolve()
    response.once('close', gone)
    response.write(chunk, (error) => {
      response.removeListener('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
  // Awaited one chunk later: a rejection in between must not count as unhandled.
  written.catch(() => undefined)
  return written
}

function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return [
    'ECONNRESET',
    'EPIPE',
    'ERR_STREAM_DESTROYED',
    'ERR_STREAM_WRITE_AFTER_END',
    'ERR_STREAM_PREMATURE_CLOSE',
  ].includes(code)
}
