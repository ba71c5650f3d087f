import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { crc32, crcBase64 } from '../../../src/checksum/crc32.ts'
import { crc32c } from '../../../src/checksum/crc32c.ts'
import { crc64Base64, crc64nvme } from '../../../src/checksum/crc64nvme.ts'
import { HandOver, type WireStore } from '../../../src/s3/wire/types.ts'
import { ok, type RawRequest, rangeOf, rawServer } from './raw-server.ts'

const object = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) >> 5))
const whole = (size: number) => ({ key: 'k', offset: 0, size, etag: '"e"' })
const get = async (wire: WireStore, size: number) => {
  const into = Buffer.alloc(size)
  await wire.getInto(whole(size), into)
  return into
}

test('a whole object comes without a Range, with its checksum asked for and If-Match', async (t) => {
  const server = await rawServer(t, { answer: ({ socket }) => void socket.write(ok(object)) })
  const wire = server.openWire()
  assert.ok((await get(wire, object.length)).equals(object))
  const [request] = server.requests
  assert.match(request?.head ?? '', /^GET \/b\/k HTTP\/1\.1\r\n/)
  assert.equal(request?.header('range'), '')
  assert.equal(request?.header('if-match'), '"e"')
  assert.equal(request?.header('x-amz-checksum-mode'), 'ENABLED')
})

test('ranges are checked by their Content-Range and land where they belong', async (t) => {
  const server = await rawServer(t, {
    answer: (request) => void request.socket.write(rangeOf(request, object)),
  })
  const wire = server.openWire()
  const into = Buffer.alloc(object.length)
  const size = object.length
  const step = 700_000
  const starts = Array.from({ length: Math.ceil(size / step) }, (_, i) => i * step)
  await Promise.all(
    starts.map(async (offset) => {
      const place = into.subarray(offset, offset + step)
      assert.deepEqual(await wire.getInto({ ...whole(size), offset }, place), { etag: '"e"', check: 'size' })
    }),
  )
  assert.ok(into.equals(object))
})

test('size 0 goes without a Range, and an empty range of something is no request', async (t) => {
  const server = await rawServer(t, { answer: ({ socket }) => void socket.write(ok('')) })
  const wire = server.openWire()
  assert.deepEqual(await wire.getInto(whole(0), Buffer.alloc(0)), { etag: '"e"', check: 'size' })
  assert.equal(server.requests[0]?.header('range'), '')
  await wire.getInto({ ...whole(10), offset: 3 }, Buffer.alloc(0))
  assert.equal(server.requests.length, 1)
})

for (const tls of [false, true]) {
  const lane = tls ? 'https' : 'http'

  test(`answers cut at any byte fill exactly their place and are summed as they come, one after the other on one connection, ${lane}`, async (t) => {
    let cuts: number[] = []
    const server = await rawServer(t, { tls, answer: (request) => pieces(request, object, cuts) })
    const wire = server.openWire()
    const size = object.length
    const range = fc.tuple(
      fc.nat(size - 1),
      fc.integer({ min: 1, max: 70_000 }),
      fc.array(fc.nat(400), { maxLength: 4 }),
    )
    const check = fc.asyncProperty(fc.array(range, { minLength: 1, maxLength: 4 }), async (ranges) => {
      for (const [offset, wanted, at] of ranges) {
        cuts = at
        const length = Math.min(wanted, size - offset)
        const around = Buffer.alloc(length + 200, 0xee)
        const request = { ...whole(size), offset, sum: true }
        const got = await wire.getInto(request, around.subarray(100, 100 + length))
        assert.ok(around.subarray(100, 100 + length).equals(object.subarray(offset, offset + length)))
        assert.equal(got.crc32, crc32(object.subarray(offset, offset + length)))
        assert.ok(around.subarray(0, 100).every((byte) => byte === 0xee))
        assert.ok(around.subarray(100 + length).every((byte) => byte === 0xee))
      }
    })
    await fc.assert(check, { numRuns: 40 })
    assert.equal(server.connections, 1)
  })

  test(`a byte that nobody asked for ends the connection and touches no memory, ${lane}`, async (t) => {
    const size = 200_000
    const server = await rawServer(t, {
      tls,
      async answer({ socket, index }) {
        socket.write(ok(object.subarray(0, size)))
        // After the answer was taken: for the view that comes next there is nothing owed.
        await sleep(50)
        if (index === 0) socket.write(Buffer.alloc(100_000, 0xff))
      },
    })
    const wire = server.openWire()
    const into = await get(wire, size)
    const [socket] = server.open
    await new Promise((closed) => socket?.on('close', closed))
    assert.ok(into.equals(object.subarray(0, size)))
    assert.ok((await get(wire, size)).equals(object.subarray(0, size)))
    assert.equal(server.connections, 2)
  })

  test(`a body that is longer than it said stops at its end, ${lane}`, async (t) => {
    const size = 200_000
    const server = await rawServer(t, {
      tls,
      async answer({ socket }) {
        const answer = ok(object.subarray(0, size))
        socket.write(answer.subarray(0, 1000))
        // From here on the body is read straight into its place.
        await sleep(30)
        socket.write(Buffer.concat([answer.subarray(1000), Buffer.alloc(50_000, 0xff)]))
      },
    })
    const around = Buffer.alloc(size + 100_000, 0xee)
    await server.openWire().getInto(whole(size), around.subarray(0, size))
    await sleep(30)
    assert.ok(around.subarray(0, size).equals(object.subarray(0, size)))
    assert.ok(around.subarray(size).equals(Buffer.alloc(100_000, 0xee)))
    while (server.open.size > 0) await sleep(5)
  })

  test(`a second answer behind the first does not reach the first's memory, nor the next request, ${lane}`, async (t) => {
    const size = 500_000
    const first = object.subarray(0, size)
    const forged = ok(Buffer.alloc(size, 0x66))
    const server = await rawServer(t, {
      tls,
      answer: ({ socket, index }) =>
        void socket.write(index === 0 ? Buffer.concat([ok(first), forged]) : ok(first)),
    })
    const wire = server.openWire()
    const into = await get(wire, size)
    await sleep(50)
    assert.ok(into.equals(first))
    assert.ok((await get(wire, size)).equals(first))
    assert.equal(server.connections, 2)
  })

  test(`an aborted request settles only when nothing writes to its memory any more, ${lane}`, async (t) => {
    const size = 16 << 20
    const server = await rawServer(t, {
      tls,
      answer({ socket }) {
        socket.write(ok('', { 'Content-Length': size }))
        const block = Buffer.alloc(256 * 1024, 0x11)
        const more = () => {
          if (!socket.destroyed) socket.write(block, more)
        }
        more()
      },
    })
    const wire = server.openWire()
    const into = Buffer.alloc(size)
    const controller = new AbortController()
    const reason = new Error('enough')
    const request = wire.getInto(whole(size), into, { signal: controller.signal })
    while (into[300_000] === 0) await sleep(1)
    const closed = new Set<Socket>()
    const { destroy } = Socket.prototype
    t.mock.method(Socket.prototype, 'destroy', function (this: Socket, error?: Error) {
      if (this.remotePort === server.port) this.once('close', () => closed.add(this))
      return destroy.call(this, error)
    })
    controller.abort(reason)
    await assert.rejects(request, reason)
    assert.equal(closed.size, 1)
    into.fill(0x22)
    await sleep(50)
    assert.ok(into.equals(Buffer.alloc(size, 0x22)))
  })

  test(`memory that is taken away in the middle ends that request and nothing else, ${lane}`, async (t) => {
    const size = 1 << 20
    const server = await rawServer(t, {
      tls,
      async answer({ socket, index }) {
        if (index > 0) return void socket.write(ok(object.subarray(0, size)))
        const answer = ok(object.subarray(0, size))
        for (let at = 0; at < answer.length; at += 100_000) {
          socket.write(answer.subarray(at, at + 100_000))
          await sleep(10)
        }
      },
    })
    const wire = server.openWire()
    const into = Buffer.from(new ArrayBuffer(size))
    const request = wire.getInto(whole(size), into)
    // Awaited below; until then nobody listens.
    request.catch(() => {})
    while (into[150_000] === 0) await sleep(1)
    const kept = structuredClone(into.buffer, { transfer: [into.buffer as ArrayBuffer] })
    await assert.rejects(request)
    assert.equal(kept.byteLength, size)
    assert.ok((await get(wire, size)).equals(object.subarray(0, size)))
  })
}

const SUMS: Record<string, (bytes: Buffer) => string> = {
  crc32: (bytes) => crcBase64(crc32(bytes)),
  crc32c: (bytes) => crcBase64(crc32c(bytes)),
  crc64nvme: (bytes) => crc64Base64(crc64nvme(bytes)),
  sha1: (bytes) => createHash('sha1').update(bytes).digest('base64'),
  sha256: (bytes) => createHash('sha256').update(bytes).digest('base64'),
}

for (const [name, sum] of Object.entries(SUMS)) {
  test(`bytes are checked by the server's ${name}: asked for once more when it differs, then INTEGRITY`, async (t) => {
    const body = object.subarray(0, 1000)
    const bad = Buffer.from(body).fill(1, 500, 501)
    const server = await rawServer(t, {
      answer({ socket, index }) {
        const sent = index === 1 || index > 2 ? bad : body
        socket.write(ok(sent, { [`x-amz-checksum-${name}`]: sum(body) }))
      },
    })
    const wire = server.openWire()
    const retries: string[] = []
    const onRetry = ({ reason }: { reason: string }) => void retries.push(reason)
    const into = Buffer.alloc(1000)
    const got = await wire.getInto(whole(1000), into, { onRetry })
    assert.deepEqual(got, { etag: '"e"', check: name, ...(name === 'crc32' ? { crc32: crc32(body) } : {}) })
    assert.equal((await wire.getInto(whole(1000), into, { onRetry })).check, name)
    assert.ok(into.equals(body))
    assert.deepEqual(retries, ['GET: the checksum does not match'])
    await assert.rejects(wire.getInto(whole(1000), into), { code: 'INTEGRITY', path: 's3://b/k' })
  })
}

test('a composite checksum is a sum of sums: it is not compared with the bytes', async (t) => {
  const headers = { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-type': 'COMPOSITE' }
  const server = await rawServer(t, { answer: ({ socket }) => void socket.write(ok('abc', headers)) })
  const got = await server.openWire().getInto(whole(3), Buffer.alloc(3))
  assert.equal(got.check, 'size')
})

test('bytes behind a whole answer in one read are no answer that is understood', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket }) => void socket.write(Buffer.concat([ok('abc'), ok('x')])),
  })
  const failed = get(server.openWire(), 3)
  await assert.rejects(
    failed,
    (error) => error instanceof HandOver && error.reason === 'bytes after the answer',
  )
})

/** The answer in pieces that are cut at these bytes, each sent on its own. */
async function pieces(request: RawRequest, bytes: Buffer, cuts: number[]): Promise<void> {
  const answer = rangeOf(request, bytes)
  const ends = [...cuts, answer.length].filter((at) => at <= answer.length).sort((a, b) => a - b)
  let from = 0
  for (const to of ends) {
    if (to > from) request.socket.write(answer.subarray(from, to))
    from = to
    await new Promise((turn) => setImmediate(turn))
  }
}
