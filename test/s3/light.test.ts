import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import fc from 'fast-check'
import { openStore } from '../../src/s3/open.ts'
import { ordinary } from '../../src/s3/ordinary.ts'
import { S3_DEFAULTS, type S3Settings } from '../../src/s3/settings.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'

const undisturbed = 'its tests bring their own trouble, and count'
const skip = LANE === 'sdk' ? 'there is no light lane in this lane' : false

async function openBucket(t: TestContext, changed: Partial<S3Settings> = {}) {
  const dev = await withDevServer(t, { undisturbed })
  const store = await dev.openStore(changed)
  const agents = () => dev.server.requests.all().map(({ userAgent = '' }) => userAgent.split('/')[0])
  return { dev, store, agents, faults: dev.server.faults }
}

const keysOf = async (store: ObjectStore, prefix: string) => {
  const keys: string[] = []
  for await (const { objects } of store.listPages({ prefix })) keys.push(...objects.map(({ key }) => key))
  return keys
}
const read = async (store: ObjectStore, key: string) =>
  (await store.getDocument(key, { maxBytes: 1 << 20 }))?.bytes.toString()

test('listings and documents of an ordinary bucket are asked for without the SDK', { skip }, async (t) => {
  const { dev, store, agents } = await openBucket(t)
  dev.seed({ 'a b/ü+%.json': 'one', 'a b/2': 'two' })
  assert.deepEqual(await keysOf(store, 'a b/'), ['a b/2', 'a b/ü+%.json'])
  assert.equal(await read(store, 'a b/ü+%.json'), 'one')
  assert.equal(await read(store, 'a b/3'), undefined)
  assert.deepEqual(agents(), ['longshore', 'longshore', 'longshore'])
})

test('what changes a bucket goes by the SDK, and so does all that comes after it', { skip }, async (t) => {
  const { store, agents } = await openBucket(t)
  await store.put({ key: 'k', body: Buffer.from('x') })
  assert.equal(await read(store, 'k'), 'x')
  assert.deepEqual(agents(), ['aws-sdk-js', 'aws-sdk-js'])
})

test('what is not understood is asked for once more, by the SDK, which learns from it', {
  skip,
}, async (t) => {
  const { dev, store, agents, faults } = await openBucket(t)
  dev.seed({ k: 'x' })
  faults.add({ match: { first: 1 }, do: { kind: 'status', status: 403, code: 'SignatureDoesNotMatch' } })
  assert.equal(await read(store, 'k'), 'x')
  assert.deepEqual(agents(), ['longshore', 'aws-sdk-js'])
})

test('a wrong region is corrected, whoever asked first', { skip }, async (t) => {
  const dev = await withDevServer(t, { region: 'eu-central-7', undisturbed })
  dev.seed({ k: 'x' })
  const store = await dev.openStore()
  assert.equal(await read(store, 'k'), 'x')
  const target = await store.wire?.()
  assert.ok(target !== undefined && 'host' in target)
  assert.equal(target.region, 'eu-central-7')
})

test('a server that is busy is asked again, later, without the SDK', { skip }, async (t) => {
  const { dev, store, agents, faults } = await openBucket(t)
  dev.seed({ k: 'x' })
  faults.add({ match: { first: 1 }, do: { kind: 'status', status: 503 } })
  faults.add({ match: { skip: 1, first: 1 }, do: { kind: 'reset' } })
  assert.equal(await read(store, 'k'), 'x')
  assert.deepEqual(agents(), ['longshore', 'longshore', 'longshore'])
})

test('a document that fails its checksum is asked for again, then refused', { skip }, async (t) => {
  const { store, dev, faults } = await openBucket(t)
  await store.put({ key: 'k', body: Buffer.from('bytes') })
  const second = await dev.openStore()
  faults.add({ match: { operation: 'GetObject', first: 1 }, do: { kind: 'flip-byte' } })
  assert.equal(await read(second, 'k'), 'bytes')
  faults.add({ match: { operation: 'GetObject' }, do: { kind: 'flip-byte' } })
  await assert.rejects(read(second, 'k'), { code: 'INTEGRITY' })
})

test('where all is plain to see, the answer is the SDK’s own', async () => {
  const region = fc.constantFrom('us-east-1', 'eu-central-1', 'local', 'auto')
  const host = fc.constantFrom('localhost', '127.0.0.1', 's3.example.com', 'minio', '10.1.2.3')
  const port = fc.constantFrom('', ':443', ':80', ':9000', ':65535')
  const scheme = fc.constantFrom('http', 'https')
  const bucket = fc.constantFrom('abc', 'a.b.c', 'my-bucket-1', '1x2', 'a'.repeat(63), 'data--1')
  const rest = fc.record({
    noSignRequest: fc.boolean(),
    requestPayer: fc.boolean(),
    expectedBucketOwner: fc.constantFrom(undefined, '123456789012'),
    pathStyle: fc.constantFrom('auto' as const, 'always' as const),
    token: fc.constantFrom('', 'a/token+of=some'),
    byFlag: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(region, host, port, scheme, bucket, rest, async (name, h, p, s, b, about) => {
      const { token, byFlag, ...settings } = about
      const env = {
        ...{ HOME: '/', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_SESSION_TOKEN: token },
        ...(byFlag ? {} : { AWS_REGION: name }),
      }
      const all: S3Settings = {
        ...{ ...S3_DEFAULTS, ...settings, endpointUrl: `${s}://${h}${p}` },
        ...(byFlag ? { region: name } : {}),
      }
      assert.notEqual(ordinary(b, all, env), undefined)
      const open = async (lane: 'sdk' | 'wire') => {
        const { store } = await openStore({ kind: 's3', bucket: b, prefix: '' }, { ...all, lane }, { env })
        const target = await store.wire?.()
        await store.close()
        return target
      }
      assert.deepEqual(await open('wire'), await open('sdk'))
    }),
    { numRuns: 150 },
  )
})

test('what the SDK would see otherwise is left to it', () => {
  const env = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' }
  const plain: S3Settings = { ...S3_DEFAULTS, endpointUrl: 'https://s3.example.com' }
  const of = (changed: Partial<S3Settings>, more: NodeJS.ProcessEnv = {}, bucket = 'bucket') =>
    ordinary(bucket, { ...plain, ...changed }, { ...env, ...more })
  assert.notEqual(of({}), undefined)
  assert.equal(of({ endpointUrl: undefined }), undefined)
  assert.equal(of({ endpointUrl: 'https://s3.example.com/path' }), undefined)
  assert.equal(of({ endpointUrl: 'https://user:word@s3.example.com' }), undefined)
  assert.equal(of({ endpointUrl: 'https://[::1]:9000' }), undefined)
  assert.equal(of({ pathStyle: 'never' }), undefined)
  assert.equal(of({ profile: 'p' }), undefined)
  assert.equal(of({}, { AWS_PROFILE: 'p' }), undefined)
  assert.equal(of({}, { AWS_REGION: '' }), undefined)
  assert.equal(of({}, { AWS_SECRET_ACCESS_KEY: '' }), undefined)
  assert.equal(of({}, { AWS_SESSION_TOKEN: 'two\nlines' }), undefined)
  assert.equal(of({}, { AWS_USE_FIPS_ENDPOINT: 'true' }), undefined)
  for (const bucket of [
    'x--usw2-az1--x-s3',
    'Upper',
    'under_score',
    'alias-s3alias',
    'arn:aws:s3:us-east-1:1:accesspoint/x',
    'ab',
  ]) {
    assert.equal(of({}, {}, bucket), undefined, bucket)
  }
})
