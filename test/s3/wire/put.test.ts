import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32, crcBase64 } from '../../../src/checksum/crc32.ts'
import { isLongshoreError } from '../../../src/errors.ts'
import { HandOver, type WireStore } from '../../../src/s3/wire/types.ts'
import { ok, rawServer } from './raw-server.ts'

const body = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 5))
const partOf = (bytes: Buffer) => ({
  key: 'k',
  uploadId: 'u/1',
  partNumber: 7,
  offset: 0,
  body: bytes,
  crc32: crc32(bytes),
})
const put = (wire: WireStore, bytes: Buffer, call = {}) => wire.putPart(partOf(bytes), call)

for (const tls of [false, true]) {
  const lane = tls ? 'https' : 'http'

  test(`a part arrives whole, with its length and CRC-32, ${lane}`, async (t) => {
    const server = await rawServer(t, {
      tls,
      answer: ({ socket }) => void socket.write(ok('', { ETag: '"p"' })),
    })
    const wire = server.openWire()
    for (const bytes of [body, body.subarray(0, 10), Buffer.alloc(0)]) {
      const kinds: string[] = []
      const part = await put(wire, bytes, { onRequest: (kind: string) => void kinds.push(kind) })
      assert.deepEqual(part, { partNumber: 7, etag: '"p"', size: bytes.length, crc32: crc32(bytes) })
      assert.deepEqual(kinds, ['PART'])
      const request = server.requests.at(-1)
      assert.match(request?.head ?? '', /^PUT \/b\/k\?partNumber=7&uploadId=u%2F1 HTTP/)
      assert.equal(request?.header('x-amz-checksum-crc32'), crcBase64(crc32(bytes)))
      assert.ok(request?.body.equals(bytes))
    }
    assert.equal(server.connections, 1)
  })

  test(`a socket holds one slice of a part at a time, however slowly the peer takes it, ${lane}`, async (t) => {
    const writes: number[] = []
    let most = 0
    const { write } = Duplex.prototype
    t.mock.method(Duplex.prototype, 'write', function (this: Socket, ...args: Parameters<typeof write>) {
      if (args[0] instanceof Uint8Array && args[0].length > 1000) writes.push(args[0].length)
      const written = write.apply(this, args)
      most = Math.max(most, this.writableLength)
      return written
    })
    const server = await rawServer(t, {
      tls,
      early: (head) => head.startsWith('PUT'),
      answer({ socket }) {
        socket.pause()
      },
    })
    const controller = new AbortController()
    const going = put(server.openWire(), Buffer.alloc(32 << 20), { signal: controller.signal })
    going.catch(() => {})
    await sleep(300)
    const given = writes.reduce((sum, length) => sum + length, 0)
    controller.abort(new Error('enough'))
    await assert.rejects(going, { message: 'enough' })
    assert.ok(writes.every((length) => length <= 256 * 1024))
    assert.ok(most <= 256 * 1024 + 2000)
    // What the two kernels hold, not the part.
    assert.ok(given < body.length * 8, `${given} bytes`)
  })

  test(`a refusal in the middle of a part ends the sending, ${lane}`, async (t) => {
    const server = await rawServer(t, {
      tls,
      early: (head) => head.startsWith('PUT'),
      answer: ({ socket }) => void socket.write(ok('<Error/>', {}, '403 Forbidden')),
    })
    const failed = put(server.openWire(), Buffer.alloc(64 << 20))
    await assert.rejects(failed, (error) => error instanceof HandOver && error.reason === 'answer 403')
    assert.equal(server.requests.length, 1)
    while (server.open.size > 0) await sleep(5)
  })
}

test('a refusal for now is asked again, with the whole part', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket, index }) =>
      void socket.write(index === 0 ? ok('<Error/>', {}, '503 Slow Down') : ok('', { ETag: '"p"' })),
  })
  const slow: boolean[] = []
  await put(server.openWire(), body, {
    onRetry: ({ slowDown }: { slowDown: boolean }) => void slow.push(slowDown),
  })
  assert.deepEqual(slow, [true])
  assert.ok(server.requests[1]?.body.equals(body))
  assert.equal(server.connections, 1)
})

test('a part whose connection breaks is sent again on another one', async (t) => {
  const server = await rawServer(t, {
    early: () => server.requests.length === 0,
    answer: ({ socket, index }) => void (index === 0 ? socket.resetAndDestroy() : socket.write(ok(''))),
  })
  await put(server.openWire(), body)
  assert.ok(server.requests[1]?.body.equals(body))
  assert.equal(server.connections, 2)
})

test('a part that no byte is taken of is given up after the time-out', async (t) => {
  const server = await rawServer(t, {
    early: () => true,
    answer: ({ socket }) => void socket.pause(),
  })
  const failed = put(server.openWire({ timeoutMs: 600, retries: 0 }), Buffer.alloc(64 << 20))
  await assert.rejects(failed, (error) => isLongshoreError(error, 'TIMEOUT'))
})

const NOT_UNDERSTOOD: [string, string, Buffer | string][] = [
  ['no ETag', 'no ETag', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
  ['a body', 'a body after a part', ok('<Error/>')],
  ['no length', 'no length', 'HTTP/1.1 200 OK\r\nETag: "p"\r\n\r\n'],
  ['404: the upload is gone', 'answer 404', ok('<Error/>', {}, '404 Not Found')],
  ['the checksum of something else', 'another checksum', ok('', { 'x-amz-checksum-crc32': 'AAAAAA==' })],
  ['an interim answer', 'answer 100', 'HTTP/1.1 100 Continue\r\n\r\n'],
]

for (const [what, reason, answer] of NOT_UNDERSTOOD) {
  test(`a part is handed over for an answer with ${what}`, async (t) => {
    const server = await rawServer(t, { answer: ({ socket }) => void socket.write(answer) })
    const failed = put(server.openWire(), body.subarray(0, 100))
    await assert.rejects(failed, (error) => error instanceof HandOver && error.reason === reason)
    while (server.open.size > 0) await sleep(5)
  })
}

test('success before all was sent is not believed', async (t) => {
  const server = await rawServer(t, {
    early: () => true,
    answer({ socket }) {
      socket.pause()
      socket.write(ok(''))
    },
  })
  const failed = put(server.openWire(), Buffer.alloc(64 << 20))
  await assert.rejects(
    failed,
    (error) => error instanceof HandOver && error.reason === 'an answer to half a request',
  )
})
