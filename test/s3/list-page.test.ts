import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as http from 'node:http'
import { test } from 'node:test'
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import fc from 'fast-check'
import { parseListPage } from '../../src/s3/list-page.ts'
import { fromAnswer } from '../../src/s3/list-s3.ts'

const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
const NS = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
const page = (inside: string) => `${HEAD}<ListBucketResult${NS}>${inside}</ListBucketResult>`
const entry = (inside: string) => page(`<IsTruncated>false</IsTruncated><Contents>${inside}</Contents>`)
const plain = '<Key>k</Key><Size>1</Size>'

/** What the SDK makes of a body, by its own parser; undefined where it makes nothing of it. */
async function sdk(t: { after(f: () => void): void }) {
  let body = ''
  const server = http.createServer((_request, response) => {
    response.setHeader('content-type', 'application/xml')
    response.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const client = new S3Client({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  })
  t.after(() => {
    client.destroy()
    server.close()
  })
  return async (text: string) => {
    body = text
    const answer = await client.send(new ListObjectsV2Command({ Bucket: 'b' })).catch(() => undefined)
    return answer && fromAnswer(answer, (why) => assert.fail(why) as never)
  }
}

const key = fc.oneof(
  fc.string({
    unit: fc.constantFrom('a', 'B', '0', '/', '-', '.', '%20', '+', '%', '_', 'é', '𝄞', '\ue000'),
    minLength: 1,
  }),
  fc.string({
    unit: fc.constantFrom(
      'a',
      ' ',
      '&amp;',
      '&lt;',
      '&gt;',
      '&quot;',
      '&apos;',
      '&#34;',
      '&#x41;',
      '&#13;',
      '&nope;',
      '\r',
      '\n',
      '\t',
      '\u00a0',
    ),
    minLength: 1,
    maxLength: 6,
  }),
)
const time = fc.oneof(
  fc.date({ min: new Date(0), max: new Date('2099-12-31'), noInvalidDate: true }).map((d) => d.toISOString()),
  fc.constantFrom(
    '2024-02-29T23:59:59Z',
    '2026-01-01T00:00:00.5Z',
    '2026-11-22T01:02:03.123456789Z',
    '2026-02-30T00:00:00Z',
    '2026-01-01T00:00:00+02:00',
    '',
  ),
)
const text = (name: string, value: fc.Arbitrary<string>) => value.map((v) => `<${name}>${v}</${name}>`)
const maybe = (arbitrary: fc.Arbitrary<string>) => fc.oneof({ weight: 4, arbitrary }, fc.constant(''))
// Blanks without a line feed between elements are text to the SDK, which then loses an object that is alone.
const blank = fc.constantFrom('', '', '', '\n', '\r\n\t')

const contents = fc
  .tuple(
    text('Key', key),
    text('Size', fc.oneof(fc.nat().map(String), fc.constantFrom('0', '007', '5497558138880', '1e3', '-1'))),
    maybe(text('LastModified', time)),
    maybe(
      text(
        'ETag',
        fc.constantFrom('&quot;0123abcd&quot;', '"0123abcd-2"', 'bare', '&#34;x&#34;', '&quot;a&amp;b&quot;'),
      ),
    ),
    maybe(text('StorageClass', fc.constantFrom('STANDARD', 'GLACIER', 'GLACIER_IR', ''))),
    maybe(
      fc.constantFrom(
        '<ChecksumAlgorithm>CRC32</ChecksumAlgorithm>',
        '<ChecksumAlgorithm></ChecksumAlgorithm>',
        '<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumAlgorithm>SHA1</ChecksumAlgorithm>',
      ),
    ),
    maybe(fc.constantFrom('<ChecksumType>FULL_OBJECT</ChecksumType>')),
    maybe(
      fc.constantFrom(
        '<Owner><ID>1</ID><DisplayName>d &amp; e</DisplayName></Owner>',
        '<Owner/>',
        '<Owner></Owner>',
      ),
    ),
    maybe(fc.constantFrom('<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress></RestoreStatus>')),
    maybe(fc.constantFrom('', '', '', '', '<!-- note -->', '<New>1</New>', '<Key><![CDATA[x]]></Key>')),
  )
  .chain((parts) => fc.tuple(fc.shuffledSubarray([...parts], { minLength: parts.length }), blank))
  .map(([parts, space]) => `<Contents>${space}${parts.join(space)}${space}</Contents>`)
const folder = text('Prefix', key).map((p) => `<CommonPrefixes>${p}</CommonPrefixes>`)
const scalars = fc.tuple(
  fc.constantFrom('<IsTruncated>true</IsTruncated>', '<IsTruncated>false</IsTruncated>', ''),
  maybe(fc.constant('<EncodingType>url</EncodingType>')),
  maybe(text('NextContinuationToken', fc.constantFrom('abc==', 'a&amp;b', ' x ', ''))),
  maybe(
    fc.constantFrom(
      '<Name>b</Name>',
      '<Name>b</Name><Prefix></Prefix><KeyCount>3</KeyCount>',
      '<Prefix/><Delimiter/>',
    ),
  ),
)
const document = fc
  .tuple(fc.array(contents, { maxLength: 3 }), fc.array(folder, { maxLength: 2 }), scalars, blank)
  .chain(([objects, folders, some, space]) =>
    fc
      .tuple(fc.constantFrom(HEAD, '', '<?xml version="1.0"?>'), fc.constantFrom(NS, ''), fc.boolean())
      .map(
        ([head, ns, last]) =>
          `${head}<ListBucketResult${ns}>${(last ? [...objects, ...folders, ...some] : [...some, ...objects, ...folders]).join(space)}${space}</ListBucketResult>`,
      ),
  )

/** false: our own parser leaves it to the SDK's. */
async function readAlike(xml: string, reference: Awaited<ReturnType<typeof sdk>>): Promise<boolean> {
  const found = parseListPage(Buffer.from(xml))
  if (found === undefined) return false
  assert.deepEqual(found, await reference(xml), xml)
  return true
}

test("a page is read as the SDK's own parser reads it, or left to it", async (t) => {
  const reference = await sdk(t)
  let own = 0
  await fc.assert(
    fc.asyncProperty(document, async (xml) => {
      if (await readAlike(xml, reference)) own++
    }),
    { numRuns: 1500 },
  )
  assert.ok(own > 100, `${own} were read by our own parser`)
})

test('objects after the first are read alike, whatever differs from it', async (t) => {
  const reference = await sdk(t)
  const first = contents.filter((one) => !/<!--|CDATA|<New>/.test(one))
  const others = fc.array(fc.oneof(contents, fc.nat(9)), { minLength: 1, maxLength: 4 })
  let own = 0
  await fc.assert(
    fc.asyncProperty(first, others, async (one, more) => {
      // A number: the first once more, with another digit somewhere in its values.
      const rest = more.map((other) =>
        typeof other === 'string' ? other : one.replace(/(?<=>[^<&]*)[0-9](?=[^<]*<)/, String(other)),
      )
      const xml = page([one, ...rest].join(''))
      if (await readAlike(xml, reference)) own++
    }),
    { numRuns: 2500 },
  )
  assert.ok(own > 50, `${own} were read by our own parser`)
})

test('pages of the servers that are known are read here, not by the SDK', () => {
  const time = '<LastModified>2026-11-22T01:02:03.000Z</LastModified>'
  const forms = {
    aws: `<Key>a%2Bb</Key>${time}<ETag>&quot;e&quot;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>1</Size><StorageClass>STANDARD</StorageClass>`,
    seaweedfs: `<Key>a</Key><ETag>&#34;e&#34;</ETag><Size>1</Size><Owner><ID></ID></Owner><StorageClass>STANDARD</StorageClass>${time}`,
    minio: `<Key>a</Key>${time}<ETag>&#34;e&#34;</ETag><Size>1</Size><Owner><ID>0</ID><DisplayName>m</DisplayName></Owner><StorageClass>STANDARD</StorageClass>`,
    versitygw: `${time}<ChecksumAlgorithm></ChecksumAlgorithm><ChecksumType></ChecksumType><ETag>&#34;e&#34;</ETag><Key>a</Key><Size>1</Size><StorageClass>STANDARD</StorageClass>`,
    r2: `<Key>a</Key><Size>1</Size>${time}<ETag>"e"</ETag><StorageClass>STANDARD</StorageClass>`,
  }
  for (const [name, form] of Object.entries(forms)) {
    const found = parseListPage(Buffer.from(entry(form)))
    assert.equal(found?.objects[0]?.etag, '"e"', name)
    assert.equal(found?.objects[0]?.modified, Date.parse('2026-11-22T01:02:03.000Z'), name)
  }
})

test('what is cut off, doubled, or no listing at all is left to the SDK', () => {
  const whole = entry(plain)
  assert.equal(parseListPage(Buffer.from(whole))?.objects.length, 1)
  for (let end = 0; end < whole.length; end++)
    assert.equal(parseListPage(Buffer.from(whole.slice(0, end))), undefined, whole.slice(0, end))
  for (const odd of [
    `${whole}<x/>`,
    entry(`${plain}<Key>j</Key>`),
    entry('<Key>k</Key>'),
    entry('<Size>1</Size>'),
    entry(`<Key a="b">k</Key><Size>1</Size>`),
    page('<Error>x</Error>'),
    page('<IsTruncated>yes</IsTruncated>'),
    '<html></html>',
    whole.replaceAll('ListBucketResult', 'ListVersionsResult'),
  ])
    assert.equal(parseListPage(Buffer.from(odd)), undefined, odd)
})

test('a page cut at any byte, or with any byte changed, never throws', () => {
  const body = Buffer.from(entry(`${plain}<LastModified>2026-11-22T01:02:03.000Z</LastModified>`))
  fc.assert(
    fc.property(fc.nat(body.length - 1), fc.nat(255), (at, byte) => {
      const bad = Buffer.from(body)
      bad[at] = byte
      parseListPage(bad)
    }),
    { numRuns: 2000 },
  )
})
