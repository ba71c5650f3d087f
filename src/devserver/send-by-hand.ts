import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Reply } from './call.ts'
import type { Effects } from './effects.ts'
import { pause } from './pause.ts'

/**
 * An answer whose head is cut, or comes in two pieces: node's own response writes heads in one. The connection ends
 * after it. Resolves with the bytes of body handed to the socket.
 */
export async function sendByHand(
  socket: Socket,
  { status, headers, body }: Pick<Reply, 'status' | 'headers' | 'body'>,
  effects: Effects,
): Promise<number> {
  const lines = Object.entries({ ...headers, connection: 'close' }).map(
    ([name, value]) => `${name}: ${value}`,
  )
  const head = Buffer.from(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('\r\n')}\r\n\r\n`,
    'latin1',
  )
  const { cutHeadAfter, slowHead } = effects
  if (cutHeadAfter !== undefined) {
    socket.end(head.subarray(0, cutHeadAfter))
    return 0
  }
  const first = slowHead?.bytes ?? 0
  socket.write(head.subarray(0, first))
  await pause(slowHead?.ms ?? 0, socket)
  socket.write(head.subarray(first))
  let sent = 0
  for await (const chunk of body === undefined ? [] : Buffer.isBuffer(body) ? [body] : body.chunks()) {
    if (socket.destroyed) break
    sent += chunk.length
    await new Promise((resolve) => socket.write(chunk, resolve))
  }
  socket.end()
  return sent
}
