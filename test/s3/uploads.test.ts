import assert from 'node:assert/strict'
import { once } from 'node:events'
import * as http from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'

const env = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b', AWS_REGION: 'us-east-1' }

/** The keys that a listing of uploads gives when the server answers with `page(n)`. */
async function listed(t: TestContext, page: (n: number) => string): Promise<string[]> {
  let pages = 0
  const server = http.createServer((_request, response) => {
    response.setHeader('content-type', 'application/xml')
    response.end(
      `<?xml version="1.0"?><ListMultipartUploadsResult>${page(pages++)}</ListMultipartUploadsResult>`,
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpointUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const settings = { ...S3_DEFAULTS, endpointUrl, retries: 0 }
  const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env })
  t.after(async () => {
    await store.close()
    server.close()
  })
  const keys: string[] = []
  for await (const { key } of store.listUploads('p/')) {
    keys.push(key)
    assert.ok(pages < 100, 'it never ends')
  }
  return keys
}

const upload = (key: string, id = 'i') => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`
const more = (key: string, id: string) =>
  `<IsTruncated>true</IsTruncated><NextKeyMarker>${key}</NextKeyMarker><NextUploadIdMarker>${id}</NextUploadIdMarker>`

test('uploads are listed to the last page, those of other prefixes are not ours', async (t) => {
  const page = (n: number) =>
    n < 3
      ? more(`p/${n}`, 'i') + upload(`p/${n}`) + upload(`q/${n}`)
      : upload('p/last', 'a') + upload('p/last', 'b')
  assert.deepEqual(await listed(t, page), ['p/0', 'p/1', 'p/2', 'p/last', 'p/last'])
})

test('a list of uploads without a way to its next page is an error, not the end', async (t) => {
  await assert.rejects(
    listed(t, () => `<IsTruncated>true</IsTruncated>${upload('p/a')}`),
    { code: 'SERVER', path: 's3://test/p/', message: /no way to its next page/ },
  )
})

test('a list of uploads that goes in a circle is refused, whatever its markers are', async (t) => {
  for (const page of [
    () => more('p/a', 'i') + upload('p/a'),
    (n: number) => more(`p/${n % 3}`, 'i') + upload(`p/a`, `${n}`),
    (n: number) => more(`p/${n}`, 'i') + upload('p/a', `${n % 2}`),
  ]) {
    await assert.rejects(listed(t, page), { code: 'SERVER', message: /again and again/ })
  }
})

test('an upload without a key or an id is an error: whether it is ours is not known', async (t) => {
  await assert.rejects(
    listed(t, () => '<Upload><Key>p/a</Key></Upload>'),
    { code: 'SERVER', message: /without key or id/ },
  )
})
