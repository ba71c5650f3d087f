import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import * as http from 'node:http'
import * as net from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import * as tls from 'node:tls'
import { crc32, crcBase64 } from '../../../src/checksum/crc32.ts'
import { openStore } from '../../../src/s3/open.ts'
import { S3_DEFAULTS, type S3Settings } from '../../../src/s3/settings.ts'
import type { ObjectStore } from '../../../src/s3/store.ts'
import { openSigner } from '../../../src/s3/wire/sign.ts'
import type { NoWire, WireTarget } from '../../../src/s3/wire/types.ts'
import { withDevServer } from '../../support/devserver.ts'
import { tempDir } from '../../support/tmp.ts'

const env = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' }

async function storeOf(
  t: TestContext,
  changed: Partial<S3Settings> = {},
  about: { bucket?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<ObjectStore> {
  const location = { kind: 's3' as const, bucket: about.bucket ?? 'test', prefix: '' }
  const { store } = await openStore(
    location,
    { ...S3_DEFAULTS, ...changed },
    { env: { HOME: '/', ...env, ...about.env } },
  )
  t.after(() => store.close())
  return store
}

async function wireOf(store: ObjectStore): Promise<WireTarget> {
  const target = await store.wire?.()
  assert.ok(target !== undefined && !('reason' in target), JSON.stringify(target))
  return target
}

async function refusalOf(store: ObjectStore): Promise<string> {
  const target: WireTarget | NoWire | undefined = await store.wire?.()
  assert.ok(target !== undefined && 'reason' in target)
  return target.reason
}

/** One exchange over a socket of its own. */
async function ask(target: WireTarget, head: string, body: Uint8Array = new Uint8Array()) {
  const { host, port, secure, ca, rejectUnauthorized } = target
  const trust = { ...(ca === undefined ? {} : { ca: [...ca] }), rejectUnauthorized }
  const socket = secure ? tls.connect({ host, port, servername: '', ...trust }) : net.connect({ host, port })
  await once(socket, secure ? 'secureConnect' : 'connect')
  // By another name: lanes count what the engine sends by wire.
  socket.write(head.replace('user-agent: longshore', 'user-agent: test'), 'latin1')
  socket.write(body)
  let text = ''
  for await (const chunk of socket) {
    text += String((chunk as Buffer).toString('latin1'))
    const [, length] = /\r\ncontent-length: (\d+)\r\n/i.exec(text) ?? []
    const end = text.indexOf('\r\n\r\n')
    if (end > 0 && text.length >= end + 4 + Number(length ?? 0)) break
  }
  socket.destroy()
  return { status: Number(text.slice(9, 12)), text, body: text.slice(text.indexOf('\r\n\r\n') + 4) }
}

for (const secure of [false, true]) {
  test(`a server takes what the signer makes of the target, over ${secure ? 'https' : 'http'}`, async (t) => {
    const dev = await withDevServer(t, { tls: secure, undisturbed: 'it asks without retries' })
    const odd = "a b/+%~!*'()//é/🎉/k"
    dev.seed({ [odd]: 'some bytes', plain: 'other bytes' })
    const store = await dev.openStore()
    const target = await wireOf(store)
    assert.equal(dev.server.requests.all().length, 0)
    assert.deepEqual(structuredClone(target), target)
    assert.deepEqual([target.secure, target.host, target.base], [secure, '127.0.0.1', '/test/'])
    const signer = openSigner(target)
    const [{ etag = '' } = {}] = await listed(store, 'a b/')
    for (const [head, status, bytes] of [
      [signer.get({ key: odd, etag }), 200, 'some bytes'],
      [signer.get({ key: odd, range: { first: 5, last: 7 }, etag }), 206, 'byt'],
      [signer.get({ key: 'plain', range: { first: 0, last: 0 } }), 206, 'o'],
    ] as const) {
      const got = await ask(target, head)
      assert.deepEqual([got.status, got.body], [status, bytes], got.text)
    }
    assert.equal((await ask(target, signer.get({ key: odd, etag: '"other"' }))).status, 412)
    const uploadId = await store.createUpload('up +%')
    const body = Buffer.from('a part of it')
    const put = { key: 'up +%', uploadId, partNumber: 1, body }
    const wrong = await ask(target, signer.put({ ...put, crc32: 1 }), body)
    assert.equal(wrong.status, 400, wrong.text)
    const other = Buffer.from('A part of it')
    const damaged = await ask(target, signer.put({ ...put, crc32: crc32(body) }), other)
    assert.equal(damaged.status, 400, damaged.text)
    assert.equal((await ask(target, signer.put({ ...put, crc32: crc32(body) }), body)).status, 200)
    const parts = (await store.listParts('up +%', uploadId)) ?? []
    assert.deepEqual(
      parts.map((part) => crcBase64(part.crc32 ?? 0)),
      [crcBase64(crc32(body))],
    )
  })
}

async function listed(store: ObjectStore, prefix: string) {
  for await (const page of store.listPages({ prefix })) return page.objects
  return []
}

test('Amazon S3 is reached by the name and the path that its endpoint rules give', async (t) => {
  for (const [bucket, region, host, base] of [
    ['data', 'eu-west-1', 'data.s3.eu-west-1.amazonaws.com', '/'],
    ['data', 'cn-north-1', 'data.s3.cn-north-1.amazonaws.com.cn', '/'],
    ['my.dotted', 'us-east-1', 's3.us-east-1.amazonaws.com', '/my.dotted/'],
    ['Old_Name', 'us-east-1', 's3.us-east-1.amazonaws.com', '/Old_Name/'],
    ['point-abcdefghijk-s3alias', 'us-west-2', 'point-abcdefghijk-s3alias.s3.us-west-2.amazonaws.com', '/'],
  ] as const) {
    const target = await wireOf(await storeOf(t, { region }, { bucket }))
    assert.deepEqual(
      [target.host, target.authority, target.port, target.base, target.region, target.secure],
      [host, host, 443, base, region, true],
    )
    assert.deepEqual([target.ca, target.rejectUnauthorized, target.endpoint], [undefined, true, undefined])
  }
})

test('an endpoint of its own is reached as it was given', async (t) => {
  for (const [endpointUrl, pathStyle, host, port, authority, base] of [
    ['http://[::1]:9000', 'auto', '::1', 9000, '[::1]:9000', '/test/'],
    ['https://h.test', 'auto', 'h.test', 443, 'h.test', '/test/'],
    ['https://h.test:443/in/here/', 'auto', 'h.test', 443, 'h.test', '/in/here/test/'],
    ['http://h.test:8080', 'never', 'test.h.test', 8080, 'test.h.test:8080', '/'],
  ] as const) {
    const target = await wireOf(await storeOf(t, { endpointUrl, pathStyle }))
    assert.deepEqual([target.host, target.port, target.authority, target.base], [host, port, authority, base])
    assert.equal(target.endpoint, endpointUrl)
  }
})

test('what the wire does not speak has its reason', async (t) => {
  assert.equal(await refusalOf(await storeOf(t, {}, { bucket: 'data--use1-az4--x-s3' })), 'sigv4-s3express')
  const proxied = { HTTPS_PROXY: 'http://proxy.test:3128' }
  assert.equal(await refusalOf(await storeOf(t, {}, { env: proxied })), 'proxy')
  assert.equal(await refusalOf(await storeOf(t, {}, { env: { HTTPS_PROXY: 'socks5://p:1' } })), 'proxy')
  assert.ok(await wireOf(await storeOf(t, {}, { env: { ...proxied, NO_PROXY: '.amazonaws.com' } })))
  assert.match(
    await refusalOf(await storeOf(t, {}, { bucket: `${'x'.repeat(52)}0${'y'.repeat(6)}--op-s3` })),
    /./,
  )
})

test('what every request of the store carries, the wire carries', async (t) => {
  const target = await wireOf(await storeOf(t, { requestPayer: true, expectedBucketOwner: '111122223333' }))
  assert.deepEqual(target.headers, {
    'x-amz-request-payer': 'requester',
    'x-amz-expected-bucket-owner': '111122223333',
  })
  assert.deepEqual((await wireOf(await storeOf(t))).headers, {})
})

test('the settings of trust, patience and identity come with the target', async (t) => {
  const bundle = join(tempDir(t), 'ca.pem')
  writeFileSync(bundle, '-----BEGIN CERTIFICATE-----\nextra\n-----END CERTIFICATE-----\n')
  const target = await wireOf(
    await storeOf(
      t,
      { caBundle: bundle, noVerifySsl: true, timeoutMs: 1234, retries: 3 },
      { env: { AWS_SESSION_TOKEN: 'tok' } },
    ),
  )
  assert.deepEqual(target.ca, [readFileSync(bundle, 'utf8')])
  assert.deepEqual([target.rejectUnauthorized, target.timeoutMs, target.retries], [false, 1234, 3])
  assert.deepEqual(target.credentials, {
    accessKeyId: 'a',
    secretAccessKey: 'b',
    sessionToken: 'tok',
    expiresAt: undefined,
  })
  assert.equal((await wireOf(await storeOf(t, { noSignRequest: true }))).credentials, undefined)
})

let profiles = 0

/** A profile whose process prints other credentials each time it is asked, `seconds` before they end. */
function profileOf(t: TestContext, about: { seconds: number; secret?: string }): string {
  const home = tempDir(t)
  // A name of its own: the SDK may still be renewing those of the test before.
  const name = `short${profiles++}`
  const script = join(home, 'give.mjs')
  const secret = about.secret ?? 'secret'
  writeFileSync(
    script,
    `import { appendFileSync, statSync } from 'node:fs'
    appendFileSync(${JSON.stringify(join(home, 'asked'))}, '.')
    const n = statSync(${JSON.stringify(join(home, 'asked'))}).size
    const Expiration = new Date(Date.now() + ${about.seconds} * 1000).toISOString()
    console.log(JSON.stringify({ Version: 1, AccessKeyId: 'key' + n, SecretAccessKey: ${JSON.stringify(secret)}, SessionToken: 'token' + n, Expiration }))`,
  )
  writeFileSync(
    join(home, 'config'),
    `[profile ${name}]\ncredential_process = "${process.execPath}" "${script}"\n`,
  )
  // The SDK's own providers read the environment of the process.
  const before = process.env.AWS_CONFIG_FILE
  process.env.AWS_CONFIG_FILE = join(home, 'config')
  t.after(() => {
    if (before === undefined) delete process.env.AWS_CONFIG_FILE
    else process.env.AWS_CONFIG_FILE = before
  })
  return name
}

test('credentials that end within five minutes are renewed before the target has them', async (t) => {
  const short = await storeOf(t, { profile: profileOf(t, { seconds: 240 }) })
  const first = await wireOf(short)
  assert.ok((first.credentials?.expiresAt ?? 0) > Date.now())
  assert.ok((first.credentials?.expiresAt ?? 0) <= Date.now() + 240_000)
  assert.notEqual(first.credentials?.sessionToken, 'token1')
  const long = await storeOf(t, { profile: profileOf(t, { seconds: 3600 }) })
  assert.deepEqual(await wireOf(long), await wireOf(long))
})

test('after a refusal of expired credentials, mended by the SDK lane, the target has the new ones', async (t) => {
  const credentials = [1, 2].map((n) => ({
    accessKeyId: `key${n}`,
    secretAccessKey: 'secret',
    sessionToken: `token${n}`,
  }))
  const dev = await withDevServer(t, { credentials, undisturbed: 'it asks without retries' })
  dev.seed({ k: 'bytes' })
  const profile = profileOf(t, { seconds: 3600 })
  const store = await storeOf(t, { ...dev.settings, profile }, { env: { AWS_REGION: 'us-east-1' } })
  const before = await wireOf(store)
  assert.equal(before.credentials?.accessKeyId, 'key1')
  dev.server.faults.add({ match: { first: 1 }, do: { kind: 'expired-token' } })
  const into = Buffer.alloc(5)
  await store.getInto({ key: 'k', offset: 0, size: 5, etag: '' }, into)
  const after = await wireOf(store)
  assert.deepEqual([after.credentials?.accessKeyId, after.credentials?.sessionToken], ['key2', 'token2'])
  assert.equal((await ask(after, openSigner(after).get({ key: 'k' }))).body, 'bytes')
})

test('after a refusal of the clock, mended by the SDK lane, the target has the offset, in another region too', async (t) => {
  const ahead = 86_400_000
  const regions: string[] = []
  const error = (code: string, more = '') => `<?xml version="1.0"?><Error><Code>${code}</Code>${more}</Error>`
  const server = http.createServer((request, response) => {
    const now = Date.now() + ahead
    const date = String(request.headers['x-amz-date'])
    const at = Date.parse(date.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'))
    const region = /\d{8}\/([^/]+)\/s3/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    regions.push(region)
    response.setHeader('date', new Date(now).toUTCString())
    response.setHeader('content-type', 'application/xml')
    if (Math.abs(at - now) > 60_000) {
      response.writeHead(403).end(error('RequestTimeTooSkewed'))
    } else if (region !== 'eu-north-9') {
      response.writeHead(400).end(error('AuthorizationHeaderMalformed', '<Region>eu-north-9</Region>'))
    } else {
      response.setHeader('content-type', 'text/plain')
      response.setHeader('etag', '"e"')
      response.writeHead(200).end('bytes')
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  t.after(() => server.closeAllConnections())
  const { port } = server.address() as net.AddressInfo
  const store = await storeOf(t, { endpointUrl: `http://127.0.0.1:${port}` })
  assert.deepEqual([(await wireOf(store)).clockOffset, (await wireOf(store)).region], [0, 'us-east-1'])
  await store.getInto({ key: 'k', offset: 0, size: 5, etag: '' }, Buffer.alloc(5))
  assert.deepEqual(regions, ['us-east-1', 'us-east-1', 'eu-north-9'])
  const target = await wireOf(store)
  assert.ok(Math.abs(target.clockOffset - ahead) < 10_000, `${target.clockOffset}`)
  assert.equal(target.region, 'eu-north-9')
  assert.equal((await ask(target, openSigner(target).get({ key: 'k' }))).status, 200)
})

test('an ordinary answer changes nothing of the target', async (t) => {
  const dev = await withDevServer(t)
  const store = await dev.openStore()
  const before = await wireOf(store)
  await store.head('k')
  assert.deepEqual(await wireOf(store), before)
})

test('a bucket that is found in another region is reached there', async (t) => {
  const dev = await withDevServer(t, { region: 'eu-central-7', undisturbed: 'it asks without retries' })
  dev.seed({ k: 'bytes' })
  const store = await dev.openStore()
  assert.equal((await wireOf(store)).region, 'us-east-1')
  await store.getInto({ key: 'k', offset: 0, size: 5, etag: '' }, Buffer.alloc(5))
  const target = await wireOf(store)
  assert.equal(target.region, 'eu-central-7')
  assert.equal((await ask(target, openSigner(target).get({ key: 'k' }))).body, 'bytes')
})

test('a store that refused checksum headers gets none by wire either, and its parts are hashed', async (t) => {
  const dev = await withDevServer(t, { tls: true, undisturbed: 'it asks without retries' })
  dev.server.faults.add({ do: { kind: 'no-checksums' } })
  const store = await dev.openStore()
  assert.equal((await wireOf(store)).noChecksums, false)
  const uploadId = await store.createUpload('k')
  const target = await wireOf(store)
  assert.equal(target.noChecksums, true)
  const body = Buffer.from('part')
  const head = openSigner(target).put({ key: 'k', uploadId, partNumber: 1, body, crc32: crc32(body) })
  assert.doesNotMatch(head, /checksum|UNSIGNED/)
  assert.equal((await ask(target, head, Buffer.from('Part'))).status, 400)
  assert.equal((await ask(target, head, body)).status, 200)
})

test('without credentials there is no wire, and the SDK lane says why', async (t) => {
  const home = tempDir(t)
  writeFileSync(join(home, 'config'), '[profile none]\ncredential_process = false\n')
  const before = process.env.AWS_CONFIG_FILE
  process.env.AWS_CONFIG_FILE = join(home, 'config')
  t.after(() => {
    if (before === undefined) delete process.env.AWS_CONFIG_FILE
    else process.env.AWS_CONFIG_FILE = before
  })
  const store = await storeOf(t, { profile: 'none' })
  assert.equal(await refusalOf(store), 'no credentials')
  await assert.rejects(store.head('k'), { code: 'NO_CREDENTIALS' })
})

test('a local folder has no wire', async (t) => {
  const { store } = await openStore({ kind: 'local', root: tempDir(t) }, S3_DEFAULTS, { env })
  assert.equal(store.wire, undefined)
})
