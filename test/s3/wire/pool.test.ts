import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { makeCertificate } from '../../../src/devserver/certificate.ts'
import { openAddresses } from '../../../src/s3/wire/addresses.ts'
import { openPeers } from '../../../src/s3/wire/peers.ts'
import { HandOver, type WireStore } from '../../../src/s3/wire/types.ts'
import { stillHeld } from '../../support/forgotten.ts'
import { ok, rawServer } from './raw-server.ts'

const get = async (wire: WireStore, key = 'k', call = {}) => {
  const into = Buffer.alloc(3)
  await wire.getInto({ key, offset: 0, size: 3, etag: '"e"' }, into, call)
  return into.toString()
}

test('as many connections as requests at once, and the same ones for the next', async (t) => {
  const server = await rawServer(t, {
    async answer({ socket }) {
      await sleep(20)
      socket.write(ok('abc'))
    },
  })
  const wire = server.openWire()
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 8 }, () => get(wire)))
    assert.equal(server.connections, 8)
  }
})

for (const tls of [false, true]) {
  test(`a connection that is kept holds nothing of a request that is over (${tls ? 'https' : 'http'})`, async (t) => {
    const server = await rawServer(t, { tls, answer: ({ socket }) => void socket.write(ok('abc')) })
    const wire = server.openWire({ secure: tls })
    const once = async () => {
      const into = Buffer.allocUnsafeSlow(3)
      await wire.getInto({ key: 'k', offset: 0, size: 3, etag: '"e"' }, into)
      return new WeakRef(into)
    }
    const first = await once()
    assert.equal(await stillHeld([first]), 0)
    assert.equal(await stillHeld([await once()]), 0)
    assert.equal(server.connections, 1)
  })
}

test('Connection: close is heard: the next request has a connection of its own', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket }) => void socket.write(ok('abc', { Connection: 'close' })),
  })
  const wire = server.openWire()
  await get(wire)
  await get(wire)
  assert.equal(server.connections, 2)
  while (server.open.size > 0) await sleep(5)
})

test('an idle connection is ended before the time that the server named', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket }) => void socket.write(ok('abc', { 'Keep-Alive': 'timeout=1' })),
  })
  await get(server.openWire())
  while (server.open.size > 0) await sleep(5)
})

test('idle connections end before the server is used to end them', async (t) => {
  const endings: string[] = []
  const server = await rawServer(t, {
    async answer({ socket, index }) {
      socket.on('close', () => endings.push('client'))
      socket.write(ok('abc'))
      await sleep(index === 0 ? 1500 : 3000)
      if (socket.destroyed) return
      endings.push('server')
      socket.end()
    },
  })
  const wire = server.openWire()
  await get(wire)
  while (server.open.size > 0) await sleep(5)
  await get(wire)
  while (server.open.size > 0) await sleep(5)
  assert.deepEqual(endings, ['server', 'client', 'client'])
})

test('changed credentials go into the next request on the same connection; another server gets its own', async (t) => {
  const answer = ({ socket }: { socket: { write(bytes: Buffer): unknown } }) => void socket.write(ok('abc'))
  const [one, two] = [await rawServer(t, { answer }), await rawServer(t, { answer })]
  const wire = one.openWire()
  await get(wire)
  assert.equal(one.requests[0]?.header('authorization'), '')
  const credentials = {
    accessKeyId: 'A',
    secretAccessKey: 'B',
    sessionToken: undefined,
    expiresAt: undefined,
  }
  wire.update(one.target({ credentials }))
  await get(wire)
  assert.match(one.requests[1]?.header('authorization') ?? '', /Credential=A\//)
  assert.equal(one.connections, 1)
  wire.update(two.target())
  await get(wire)
  assert.equal(two.connections, 1)
  while (one.open.size > 0) await sleep(5)
})

test('an address that takes no connection is left out, and the others are used in turn', async (t) => {
  const server = await rawServer(t, {
    answer: ({ socket }) => void socket.write(ok('abc', { Connection: 'close' })),
  })
  let asked = 0
  const resolve = async () => {
    asked++
    // Nothing listens on the second one.
    return ['127.0.0.1', '127.0.0.77']
  }
  const dialled: unknown[] = []
  const { connect } = Socket.prototype
  t.mock.method(Socket.prototype, 'connect', function (this: Socket, ...args: Parameters<typeof connect>) {
    dialled.push(JSON.stringify(args[0]).includes('127.0.0.77'))
    return connect.apply(this, args)
  })
  const retries: unknown[] = []
  const wire = server.openWire({ host: 's3.test' }, { resolve })
  for (let i = 0; i < 5; i++) await get(wire, 'k', { onRetry: (retry: unknown) => void retries.push(retry) })
  assert.equal(asked, 1)
  assert.equal(server.connections, 5)
  assert.deepEqual(retries, [])
  assert.equal(dialled.filter((dead) => dead).length, 1)
})

test('all addresses have their turn; one that was avoided has it again only when no other is left', async () => {
  const addresses = openAddresses('s3.test', async () => ['a', 'b', 'c'])
  const next = async (...tried: string[]) => (await addresses.next(new Set(tried)))?.address
  assert.deepEqual([await next(), await next(), await next(), await next()], ['a', 'b', 'c', 'a'])
  addresses.avoid('b')
  const seen = new Set([await next(), await next(), await next()])
  assert.deepEqual(seen, new Set(['a', 'c']))
  assert.equal(await next('a', 'c'), 'b')
  assert.equal(await next('a', 'b', 'c'), undefined)
})

test('a host that nobody knows or that takes no connection is an error, after its retries', async (t) => {
  const server = await rawServer(t, { answer: ({ socket }) => void socket.write(ok('abc')) })
  const nowhere = async () => {
    throw Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' })
  }
  const unknown = server.openWire({ host: 's3.test', retries: 1 }, { resolve: nowhere })
  await assert.rejects(get(unknown), { code: 'UNREACHABLE' })
  const refusing = server.openWire({ host: '127.0.0.77', retries: 1 })
  await assert.rejects(get(refusing), { code: 'UNREACHABLE' })
})

test('close() waits for no lookup of a name', async (t) => {
  const server = await rawServer(t, { answer() {} })
  const wire = server.openWire({ host: 's3.test' }, { resolve: () => new Promise(() => {}) })
  const going = Promise.allSettled([get(wire), get(wire)])
  await sleep(10)
  wire.close()
  for (const { status } of await going) assert.equal(status, 'rejected')
})

test('a server that hangs up on TLS is named as such', async (t) => {
  const server = await rawServer(t, {
    answer() {},
    greet: (socket) => void socket.once('data', () => socket.end()),
  })
  await assert.rejects(get(server.openWire({ secure: true, retries: 1 })), { code: 'TLS_REFUSED' })
})

test("dialling an address keeps the host's name for the server and for its certificate", async (t) => {
  const names: unknown[] = []
  const server = await rawServer(t, {
    tls: true,
    answer({ socket }) {
      names.push((socket as TLSSocket).servername)
      socket.write(ok('abc', { Connection: 'close' }))
    },
  })
  const resolve = async () => ['127.0.0.1']
  const wire = server.openWire({ host: 'b.s3.localhost' }, { resolve })
  // The second one may go on with the first's TLS session.
  await get(wire)
  await get(wire)
  assert.deepEqual(names, ['b.s3.localhost', 'b.s3.localhost'])
  const other = server.openWire({ host: 's3.example.com' }, { resolve })
  await assert.rejects(get(other), isHandOver)
  const untrusted = server.openWire({ ca: [makeCertificate().cert] })
  await assert.rejects(get(untrusted), isHandOver)
  const careless = server.openWire(
    { ca: undefined, rejectUnauthorized: false, host: 's3.example.com' },
    { resolve },
  )
  await get(careless)
})

test('a request far slower than its like is sent once more, for at most one of fifty', async (t) => {
  const held: string[] = []
  const server = await rawServer(t, {
    answer({ socket, head }) {
      const key = / \/b\/(\S+) /.exec(head)?.[1] ?? ''
      const slow = key.startsWith('slow') && !held.includes(key)
      if (slow) held.push(key)
      else socket.write(ok('abc'))
    },
  })
  const wire = server.openWire({ timeoutMs: 20_000 })
  for (let i = 0; i < 99; i++) await get(wire)
  const kinds: string[] = []
  const retries: unknown[] = []
  const call = {
    onRequest: (kind: string) => void kinds.push(kind),
    onRetry: (r: unknown) => void retries.push(r),
  }
  assert.equal(await get(wire, 'slow1', call), 'abc')
  assert.deepEqual(kinds, ['GET', 'GET'])
  assert.equal(await get(wire, 'slow2', call), 'abc')
  assert.deepEqual(retries, [])
  // The budget is spent.
  const third = new AbortController()
  const waiting = get(wire, 'slow3', { signal: third.signal })
  waiting.catch(() => {})
  await sleep(1200)
  assert.equal(server.requests.length, 104)
  third.abort(new Error('stop'))
  await assert.rejects(waiting, { message: 'stop' })
})

test('a slow answer that is overtaken in the middle of its body leaves the bytes of the faster one', async (t) => {
  const size = 300_000
  const right = Buffer.alloc(size, 0x61)
  let first = true
  const server = await rawServer(t, {
    answer({ socket, head }) {
      const slow = head.includes('/b/slow') && first
      if (!slow) return void socket.write(ok(right))
      first = false
      socket.write(ok(right).subarray(0, 100_000))
    },
  })
  const wire = server.openWire({ timeoutMs: 20_000 })
  const into = Buffer.alloc(size)
  const request = { key: 'k', offset: 0, size, etag: '"e"' }
  for (let i = 0; i < 60; i++) await wire.getInto(request, into)
  into.fill(0)
  await wire.getInto({ ...request, key: 'slow' }, into)
  assert.ok(into.equals(right))
})

test('what is far slower than usual depends on the size, and is unknown at first', () => {
  const peers = openPeers()
  for (let i = 0; i < 31; i++) peers.record(1000, 10)
  assert.equal(peers.limit(1000), Number.POSITIVE_INFINITY)
  for (let i = 0; i < 64; i++) peers.record(1000, i % 2 === 0 ? 100 : 200)
  assert.equal(peers.limit(1000), 800)
  assert.equal(peers.limit(8 << 20), Number.POSITIVE_INFINITY)
  for (let i = 0; i < 64; i++) peers.record(8 << 20, 2)
  assert.equal(peers.limit(8 << 20), 250)
})

function isHandOver(error: unknown): boolean {
  return error instanceof HandOver && /CERT|SIGNED|VERIFY/.test(error.reason)
}
