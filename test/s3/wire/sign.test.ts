import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  GetObjectCommand,
  S3Client,
  type S3ClientConfig,
  type ServiceInputTypes,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { crc32, crcBase64 } from '../../../src/checksum/crc32.ts'
import type { WireHandler, WireRequest } from '../../../src/s3/handler.ts'
import { openSigner } from '../../../src/s3/wire/sign.ts'
import { HandOver, type WireTarget } from '../../../src/s3/wire/types.ts'

// The SDK's warning about old Node versions is not what this is about.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = 'true'

const NOW = Date.UTC(2026, 10, 22, 23, 59, 58, 765)
const credentials = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  sessionToken: undefined,
  expiresAt: undefined,
}
const plain: WireTarget = {
  url: 's3://buck',
  bucket: 'buck',
  endpoint: undefined,
  secure: true,
  host: 'buck.s3.us-east-1.amazonaws.com',
  port: 443,
  authority: 'buck.s3.us-east-1.amazonaws.com',
  base: '/',
  region: 'us-east-1',
  credentials,
  clockOffset: 0,
  headers: {},
  noChecksums: false,
  ca: undefined,
  rejectUnauthorized: true,
  timeoutMs: 1000,
  retries: 0,
}

interface Place {
  endpoint: string | undefined
  pathStyle: boolean
  target: Pick<WireTarget, 'secure' | 'authority' | 'base'>
}

const at = (
  secure: boolean,
  authority: string,
  base: string,
  endpoint: string | undefined,
  pathStyle: boolean,
): Place => ({ endpoint, pathStyle, target: { secure, authority, base } })
const PLACES = [
  at(true, 'buck.s3.us-east-1.amazonaws.com', '/', undefined, false),
  at(true, 's3.us-east-1.amazonaws.com', '/buck/', undefined, true),
  at(false, '127.0.0.1:9000', '/buck/', 'http://127.0.0.1:9000', true),
  at(false, '[::1]:9000', '/buck/', 'http://[::1]:9000', true),
  at(true, 'buck.h.test:8443', '/', 'https://h.test:8443', false),
  at(true, 'h.test', '/below/it/buck/', 'https://h.test:443/below/it', true),
]

interface Sent {
  line: string
  headers: Record<string, string>
}

/** The request that client.send() makes of `input`, without what only the SDK says of itself. */
async function bySdk(
  place: Place,
  target: WireTarget,
  command: GetObjectCommand | UploadPartCommand,
  extra: Record<string, string>,
): Promise<Sent> {
  let sent: Sent | undefined
  const { sessionToken } = target.credentials ?? {}
  const handler: WireHandler = {
    metadata: { handlerProtocol: 'http/1.1' },
    handle: async ({ method, path, query, headers }: WireRequest) => {
      const pairs = Object.entries(query ?? {}).map(
        ([name, value]) => `${encode(name)}=${encode(`${value}`)}`,
      )
      const asked = pairs.length === 0 ? '' : `?${pairs.sort().join('&')}`
      sent = { line: `${method} ${path}${asked} HTTP/1.1`, headers }
      throw new Error('captured')
    },
    destroy() {},
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  }
  const config: S3ClientConfig = {
    region: target.region,
    credentials: { ...credentials, ...(sessionToken === undefined ? {} : { sessionToken }) },
    forcePathStyle: place.pathStyle,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    systemClockOffset: target.clockOffset,
    requestHandler: handler,
    ...(place.endpoint === undefined ? {} : { endpoint: place.endpoint }),
    ...(target.credentials === undefined ? { signer: { sign: async (request) => request } } : {}),
  }
  const client = new S3Client(config)
  type Args = { input: ServiceInputTypes; request: unknown }
  type Next<Output extends object> = (args: Args) => Promise<{ response: unknown; output: Output }>
  const onlyOurs: <Output extends object>(next: Next<Output>) => Next<Output> = (next) => async (args) => {
    const request = args.request as { headers: Record<string, string>; query: Record<string, string> }
    for (const name of Object.keys(request.headers)) {
      if (/^(amz-sdk-|x-amz-user-agent|user-agent|content-type)/.test(name)) delete request.headers[name]
    }
    delete request.query['x-id']
    Object.assign(request.headers, extra)
    return next(args)
  }
  client.middlewareStack.addRelativeTo(onlyOurs, {
    relation: 'before',
    toMiddleware: 'httpSigningMiddleware',
    name: 'onlyOurs',
  })
  const sending: Promise<unknown> =
    command instanceof GetObjectCommand ? client.send(command) : client.send(command)
  await assert.rejects(sending, { message: 'captured' })
  assert.ok(sent !== undefined)
  return sent
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

function parse(head: string): Sent {
  assert.match(head, /^[\x20-\x7e\r\n]+$/)
  assert.ok(head.endsWith('\r\n\r\n'))
  const [line = '', ...rest] = head.slice(0, -4).split('\r\n')
  const headers: Record<string, string> = {}
  for (const text of rest) {
    const [, name = '', value = ''] = /^([a-z0-9-]+): (.*)$/.exec(text) ?? []
    assert.ok(name !== '' && !(name in headers), text)
    if (name !== 'user-agent') headers[name] = value
  }
  return { line, headers }
}

const piece = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.constantFrom(
    '.',
    '..',
    '',
    '+',
    '%',
    '%2F',
    '%zz',
    ' ',
    "~!*'()",
    'a b',
    'é',
    '日本',
    '🎉',
    '\n',
    '\0',
    '?x=1',
    '#f',
  ),
)
const key = fc
  .tuple(fc.array(piece, { minLength: 1, maxLength: 5 }), fc.boolean())
  .map(([parts, folder]) => parts.join('/') + (folder ? '/' : ''))
  .filter((text) => text !== '' && Buffer.from(text).toString() === text)
const common = {
  key,
  place: fc.constantFrom(...PLACES),
  token: fc.option(fc.constantFrom('IQoJb3JpZ2luX2Vj+/=', 't'), { nil: undefined }),
  anonymous: fc.boolean(),
  payer: fc.boolean(),
  owner: fc.boolean(),
  noChecksums: fc.boolean(),
  region: fc.constantFrom('us-east-1', 'eu-central-7'),
  clockOffset: fc.constantFrom(0, 5000, -86_400_000),
}

function targetOf(place: Place, of: { [K in keyof typeof common]: unknown }): WireTarget {
  const sessionToken = typeof of.token === 'string' ? of.token : undefined
  return {
    ...plain,
    ...place.target,
    region: place.endpoint === undefined ? 'us-east-1' : String(of.region),
    clockOffset: Number(of.clockOffset),
    noChecksums: of.noChecksums === true,
    credentials: of.anonymous === true ? undefined : { ...credentials, sessionToken },
    headers: {
      ...(of.payer === true ? { 'x-amz-request-payer': 'requester' } : {}),
      ...(of.owner === true ? { 'x-amz-expected-bucket-owner': '111122223333' } : {}),
    },
  }
}

const commonInput = (of: { key: string; payer: boolean; owner: boolean }) => ({
  Bucket: 'buck',
  Key: of.key,
  ...(of.payer ? { RequestPayer: 'requester' as const } : {}),
  ...(of.owner ? { ExpectedBucketOwner: '111122223333' } : {}),
})

test('a GET has the path, the query, the headers and the signature that the SDK gives it', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: NOW })
  const given = fc.record({
    ...common,
    range: fc.option(
      fc.tuple(fc.nat(), fc.nat()).map(([first, more]) => ({ first, last: first + more })),
      { nil: undefined },
    ),
    etag: fc.constantFrom('', '"d41d8cd98f00b204e9800998ecf8427e"', '"a-2"', 'bare'),
    versionId: fc.option(fc.constantFrom('null', 'v+/= ~x&y', 'é'), { nil: undefined }),
  })
  await fc.assert(
    fc.asyncProperty(given, async (of) => {
      const { place, range, etag, versionId } = of
      const target = targetOf(place, of)
      const input = {
        ...commonInput(of),
        ...(range === undefined ? {} : { Range: `bytes=${range.first}-${range.last}` }),
        ...(etag === '' ? {} : { IfMatch: etag }),
        ...(versionId === undefined ? {} : { VersionId: versionId }),
      }
      const whole = range === undefined && !of.noChecksums
      const extra: Record<string, string> = whole ? { 'x-amz-checksum-mode': 'ENABLED' } : {}
      const theirs = await bySdk(place, target, new GetObjectCommand(input), extra)
      assert.deepEqual(parse(openSigner(target).get({ key: of.key, range, etag, versionId })), theirs)
    }),
    { numRuns: 300 },
  )
})

test('a part has the path, the query, the headers and the signature that the SDK gives it', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: NOW })
  const given = fc.record({
    ...common,
    uploadId: fc.constantFrom('abc', 'u+=/ id.~_-', 'é&b=c'),
    partNumber: fc.integer({ min: 1, max: 10_000 }),
    body: fc.uint8Array({ maxLength: 70 }),
  })
  await fc.assert(
    fc.asyncProperty(given, async (of) => {
      const { place, uploadId, partNumber, body, noChecksums } = of
      const target = targetOf(place, of)
      const crc = crc32(body)
      const input = {
        ...commonInput(of),
        UploadId: uploadId,
        PartNumber: partNumber,
        Body: body,
        ContentLength: body.length,
        ...(noChecksums ? {} : { ChecksumCRC32: crcBase64(crc) }),
      }
      const unsigned = target.secure && !noChecksums && target.credentials !== undefined
      const extra: Record<string, string> = unsigned ? { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } : {}
      const theirs = await bySdk(place, target, new UploadPartCommand(input), extra)
      const ours = openSigner(target).put({ key: of.key, uploadId, partNumber, body, crc32: crc })
      assert.deepEqual(parse(ours), theirs)
    }),
    { numRuns: 300 },
  )
})

test('a signer goes with the clock: the next second, the next day, and the key of that day', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: NOW })
  const [place] = PLACES
  assert.ok(place !== undefined)
  const signer = openSigner(plain)
  const dates = new Set<string | undefined>()
  for (let i = 0; i < 5; i++) {
    const theirs = await bySdk(
      place,
      plain,
      new GetObjectCommand({ Bucket: 'buck', Key: 'k', Range: 'bytes=0-1' }),
      {},
    )
    const ours = parse(signer.get({ key: 'k', range: { first: 0, last: 1 } }))
    assert.deepEqual(ours, theirs)
    dates.add(ours.headers['x-amz-date'])
    t.mock.timers.tick(700)
  }
  assert.deepEqual(
    [...dates],
    ['20261122T235958Z', '20261122T235959Z', '20261123T000000Z', '20261123T000001Z'],
  )
})

test('one signer serves all kinds of requests in any order', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: NOW })
  const signer = openSigner(plain)
  const ask = [
    () => signer.get({ key: 'k' }),
    () => signer.get({ key: 'k', etag: '"e"' }),
    () => signer.put({ key: 'k', uploadId: 'u', partNumber: 1, body: new Uint8Array(1), crc32: 1 }),
    () => signer.get({ key: 'k', range: { first: 0, last: 0 } }),
    () => signer.get({ key: 'k', range: { first: 0, last: 0 }, etag: '"e"' }),
  ]
  const first = ask.map((one) => one())
  assert.equal(new Set(first).size, ask.length)
  assert.deepEqual(
    [...ask].reverse().map((one) => one()),
    first.toReversed(),
  )
})

test('nothing that comes from outside can add a line to a head', () => {
  const bad = ['a\r\nx-amz-acl: public-read', 'a\nb', 'a\rb', 'a\0b', '\u010a', '\u560a']
  for (const text of bad) {
    const asGet = (of: { etag?: string; versionId?: string; key?: string }) =>
      openSigner(plain).get({ key: 'k', ...of })
    const lines = asGet({}).split('\r\n').length
    assert.equal(asGet({ key: text }).split('\r\n').length, lines)
    parse(asGet({ key: text }))
    assert.equal(asGet({ versionId: text }).split('\r\n').length, lines)
    parse(asGet({ versionId: text }))
    const put = openSigner(plain).put({
      key: text,
      uploadId: text,
      partNumber: 1,
      body: new Uint8Array(),
      crc32: 0,
    })
    assert.equal(parse(put).line.split(' ').length, 3)
    assert.throws(() => asGet({ etag: text }), HandOver)
    for (const target of [
      { authority: text },
      { base: `/${text}/` },
      { region: text },
      { headers: { 'x-amz-request-payer': text } },
      { headers: { [text]: 'v' } },
      { credentials: { ...credentials, accessKeyId: text } },
      { credentials: { ...credentials, sessionToken: text } },
    ]) {
      assert.throws(() => openSigner({ ...plain, ...target }), HandOver, JSON.stringify(target))
    }
  }
})

test('what no head can say is handed over, not sent as something else', () => {
  const signer = openSigner(plain)
  const body = new Uint8Array()
  for (const ask of [
    () => signer.get({ key: '' }),
    () => signer.get({ key: 'lone \ud800' }),
    () => signer.get({ key: 'k', versionId: '\udc00' }),
    () => signer.get({ key: 'k', etag: '"two  blanks"' }),
    () => signer.get({ key: 'k', range: { first: 0, last: -1 } }),
    () => signer.get({ key: 'k', range: { first: 0.5, last: 1 } }),
    () => signer.get({ key: 'k', range: { first: 0, last: Number.NaN } }),
    () => signer.put({ key: 'k', uploadId: 'u', partNumber: -1, body, crc32: 0 }),
    () => signer.put({ key: '', uploadId: 'u', partNumber: 1, body, crc32: 0 }),
  ]) {
    assert.throws(ask, HandOver)
  }
})
