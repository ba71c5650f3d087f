import assert from 'node:assert/strict'
import type { Promised } from './suite.ts'
import { failureOf } from './target.ts'

const RACERS = 12

export function conditionTests(promised: Promised): void {
  promised('GET with If-Match gives the version asked for or 412', async (c) => {
    const Key = `${c.folder}versioned`
    const IfMatch = await c.put(Key, 'one')
    const get = () => c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key, IfMatch }))
    assert.equal(await (await get()).Body?.transformToString(), 'one')
    await c.put(Key, 'two')
    assert.deepEqual(await failureOf(get()), { code: 'PreconditionFailed', status: 412 })
  })

  promised(
    'GET with If-None-Match or If-Modified-Since answers 304 for what is known',
    async (c) => {
      const Key = `${c.folder}known`
      const etag = await c.put(Key, 'one')
      const { raw } = c
      const since = String((await raw.send({ method: 'HEAD', key: Key })).headers['last-modified'])
      assert.equal((await raw.send({ key: Key, headers: { 'if-none-match': etag } })).status, 304)
      assert.equal((await raw.send({ key: Key, headers: { 'if-none-match': '"other"' } })).status, 200)
      const known = await raw.send({ key: Key, headers: { 'if-modified-since': since } })
      assert.equal(known.status, 304)
      assert.equal(known.body.length, 0)
      const longAgo = new Date(0).toUTCString()
      assert.equal((await raw.send({ key: Key, headers: { 'if-unmodified-since': longAgo } })).status, 412)
    },
    'if-modified-since',
  )

  promised('PUT with If-None-Match: * makes a new object and never replaces one', async (c) => {
    const Key = `${c.folder}once`
    const put = (Body: string) =>
      c.client.send(new c.s3.PutObjectCommand({ Bucket: c.Bucket, Key, Body, IfNoneMatch: '*' }))
    await put('first')
    assert.deepEqual(await failureOf(put('second')), { code: 'PreconditionFailed', status: 412 })
    assert.equal((await c.get(Key)).toString(), 'first')
    await c.client.send(new c.s3.DeleteObjectCommand({ Bucket: c.Bucket, Key }))
    await put('third')
  })

  promised(
    'PUT with If-Match replaces only the version named',
    async (c) => {
      const Key = `${c.folder}swap`
      const put = (Body: string, IfMatch: string) =>
        c.client.send(new c.s3.PutObjectCommand({ Bucket: c.Bucket, Key, Body, IfMatch }))
      const absent = await failureOf(put('x', '"d41d8cd98f00b204e9800998ecf8427e"'))
      assert.equal(absent.status, c.lacks('absent-if-match') ? 412 : 404)
      const first = await c.put(Key, 'first')
      await put('second', first)
      assert.equal((await failureOf(put('third', first))).status, 412)
      assert.equal((await c.get(Key)).toString(), 'second')
    },
    'if-match-put',
  )

  promised(`of ${RACERS} writers of one new key exactly one wins, and its bytes stay`, async (c) => {
    for (let round = 0; round < 3; round++) {
      const key = `${c.folder}race-${round}`
      const answers = await Promise.all(
        Array.from({ length: RACERS }, (_, i) =>
          c.raw.send({ method: 'PUT', key, body: `writer ${i}`, headers: { 'if-none-match': '*' } }),
        ),
      )
      const winners = answers.flatMap((answer, i) => (answer.status === 200 ? [i] : []))
      assert.equal(winners.length, 1)
      for (const { status } of answers) assert.ok([200, 409, 412].includes(status), String(status))
      assert.equal((await c.get(key)).toString(), `writer ${winners[0]}`)
    }
  })

  promised(
    `of ${RACERS} completed uploads of one new key exactly one wins`,
    async (c) => {
      const { Bucket, client, s3 } = c
      const Key = `${c.folder}race`
      const uploads = await Promise.all(
        Array.from({ length: RACERS }, async (_, i) => {
          const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key }))
          const { ETag } = await client.send(
            new s3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: `writer ${i}` }),
          )
          return { UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }
        }),
      )
      const outcomes = await Promise.allSettled(
        uploads.map((upload) =>
          client.send(new s3.CompleteMultipartUploadCommand({ Bucket, Key, IfNoneMatch: '*', ...upload })),
        ),
      )
      const winners = outcomes.flatMap((outcome, i) => (outcome.status === 'fulfilled' ? [i] : []))
      assert.equal(winners.length, 1)
      assert.equal((await c.get(Key)).toString(), `writer ${winners[0]}`)
      for (const { UploadId } of uploads)
        await client
          .send(new s3.AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
          .catch(() => undefined)
    },
    'conditional-complete',
    'complete-race',
  )
}
