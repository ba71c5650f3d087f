import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import * as http from 'node:http'
import * as net from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { judge } from '../../src/s3/failure.ts'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS, type S3Settings } from '../../src/s3/settings.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'

const env = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' }

async function listening(t: TestContext, server: net.Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function storeAt(
  t: TestContext,
  port: number,
  changed: Partial<S3Settings> = {},
): Promise<ObjectStore> {
  const settings = { ...S3_DEFAULTS, endpointUrl: `http://127.0.0.1:${port}`, ...changed }
  const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env })
  t.after(() => store.close())
  return store
}

test('a large PUT that is refused before all of it was sent leaves no connection open', async (t) => {
  const open = new Set<net.Socket>()
  const refusal = '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>no</Message></Error>'
  const server = net.createServer((socket) => {
    open.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => open.delete(socket))
    socket.once('data', () => {
      socket.pause()
      socket.write(
        `HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: ${refusal.length}\r\n\r\n${refusal}`,
      )
      // Whatever is sent on is not read, only the end of the connection is noticed.
      setTimeout(() => socket.resume(), 300)
    })
  })
  const store = await storeAt(t, await listening(t, server), { retries: 0 })
  await assert.rejects(store.put({ key: 'k', body: Buffer.alloc(64 << 20) }), { code: 'ACCESS_DENIED' })
  for (let i = 0; i < 100 && open.size > 0; i++) await new Promise((resolve) => setTimeout(resolve, 20))
  const left = open.size
  for (const socket of open) socket.destroy()
  assert.equal(left, 0)
})

test('no connection in time is an unreachable host, not a slow answer', async (t) => {
  const never = Object.assign(new Error('x'), { code: 'ETIMEDOUT', syscall: 'connect' })
  assert.equal(judge(never).remedy, 'unreachable')
  assert.equal(judge(Object.assign(new Error('x'), { code: 'ETIMEDOUT', syscall: 'read' })).remedy, 'again')
  // Takes the connection and never speaks TLS: no byte of an answer is awaited before there is a connection.
  const port = await listening(
    t,
    net.createServer((socket) => void socket.on('error', () => {})),
  )
  const store = await storeAt(t, port, {
    endpointUrl: `https://127.0.0.1:${port}`,
    timeoutMs: 100,
    retries: 1,
  })
  await assert.rejects(store.head('k'), { code: 'UNREACHABLE', message: /ETIMEDOUT/ })
})

test('a listing that goes in a circle is refused, whatever its tokens are', async (t) => {
  for (const [tokens, repeats] of [
    [(n: number) => `token-${n % 3}`, false],
    [(n: number) => `token-${n}`, true],
  ] as const) {
    let pages = 0
    const server = http.createServer((_request, response) => {
      const n = pages++
      const key = repeats ? `k${n % 2}` : `k${n}`
      response.setHeader('content-type', 'application/xml')
      response.end(
        `<?xml version="1.0"?><ListBucketResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>` +
          `<NextContinuationToken>${tokens(n)}</NextContinuationToken>` +
          `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag></Contents></ListBucketResult>`,
      )
    })
    const store = await storeAt(t, await listening(t, server))
    await assert.rejects(
      async () => {
        for await (const _page of store.listPages({ prefix: '' })) assert.ok(pages < 100, 'it never ends')
      },
      { code: 'SERVER', message: /again and again/ },
    )
  }
})

test('what one call learns about the store holds for the calls that were already on their way', async (t) => {
  const body = Buffer.from('x')
  const keys = Array.from({ length: 12 }, (_, i) => `k${i}`)
  const elsewhere = await withDevServer(t, { region: 'eu-central-7' })
  const store = await elsewhere.openStore()
  await Promise.all(keys.map((key) => store.put({ key, body })))
  const plain = await withDevServer(t)
  plain.server.faults.add({ do: { kind: 'no-checksums', status: 501 } })
  const other = await plain.openStore()
  await Promise.all(keys.map((key) => other.put({ key, body })))
})

test('a refusal that is not about checksums does not end them', async (t) => {
  const { server, openStore: open, seed } = await withDevServer(t)
  seed({ k: 'bytes' })
  server.faults.add({
    match: { operation: 'CreateMultipartUpload' },
    do: { kind: 'status', status: 501, code: 'NotImplemented' },
  })
  const store = await open()
  await assert.rejects(store.createUpload('k'))
  await store.put({ key: 'a', body: Buffer.from('bytes') })
  const got = await store.getInto({ key: 'a', offset: 0, size: 5, etag: '' }, Buffer.alloc(5))
  assert.equal(got.check, 'crc32')
})

test('a provider of credentials that never answers is an error, not a hang', async (t) => {
  const home = tempDir(t)
  writeFileSync(join(home, 'config'), '[profile slow]\ncredential_process = sleep 3\n')
  // The SDK's own providers read the environment of the process.
  const before = process.env.AWS_CONFIG_FILE
  process.env.AWS_CONFIG_FILE = join(home, 'config')
  t.after(() => {
    if (before === undefined) delete process.env.AWS_CONFIG_FILE
    else process.env.AWS_CONFIG_FILE = before
  })
  const settings = { profile: 'slow', region: 'us-east-1', timeoutMs: 200, retries: 0 }
  await assert.rejects((await storeAt(t, 9, settings)).head('k'), {
    code: 'NO_CREDENTIALS',
    message: /has not answered for 0\.2 s/,
  })
})
