import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Promised } from './suite.ts'
import { failureOf } from './target.ts'

const ODD_NAMES = [
  'a b',
  'a+b',
  'a%20b',
  'a%2Fb',
  'ü/é.txt',
  '日本語',
  '\u{1f4be} disk',
  '\ufb01 ligature',
  `quotes '"`,
  'a&b<c>',
  "(x)!*~'",
  'a=b?c#d;e:f@g,h',
  '.hidden',
]

export function objectTests(promised: Promised): void {
  promised('an object comes back byte for byte, with type, metadata, encoding and MD5 as ETag', async (c) => {
    const Key = `${c.folder}object`
    const Body = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 31) & 0xff))
    const put = await c.client.send(
      new c.s3.PutObjectCommand({
        Bucket: c.Bucket,
        Key,
        Body,
        ContentType: 'application/x-thing',
        ContentEncoding: 'gzip',
        Metadata: { origin: 'here', 'two-words': 'a b' },
      }),
    )
    assert.equal(put.ETag, `"${createHash('md5').update(Body).digest('hex')}"`)
    const got = await c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key }))
    assert.deepEqual(Buffer.from((await got.Body?.transformToByteArray()) ?? []), Body)
    assert.equal(got.ContentLength, Body.length)
    assert.equal(got.ContentType, 'application/x-thing')
    assert.equal(got.ContentEncoding, 'gzip')
    assert.equal(got.ETag, put.ETag)
    assert.deepEqual(got.Metadata, { origin: 'here', 'two-words': 'a b' })
    const head = await c.client.send(new c.s3.HeadObjectCommand({ Bucket: c.Bucket, Key }))
    assert.equal(head.ContentLength, Body.length)
    assert.deepEqual(head.Metadata, got.Metadata)
    assert.deepEqual(head.LastModified, got.LastModified)
  })

  promised('a key with blanks, signs or letters of any script is kept and listed as it is', async (c) => {
    for (const name of ODD_NAMES) await c.put(c.folder + name, name)
    for (const name of ODD_NAMES) assert.equal((await c.get(c.folder + name)).toString(), name)
    const listed = await c.list(c.folder)
    assert.deepEqual(listed.sort(), ODD_NAMES.map((name) => c.folder + name).sort())
  })

  promised(
    'a backslash is a letter like any other',
    async (c) => {
      await c.put(`${c.folder}back\\slash`, 'x')
      assert.deepEqual(await c.list(c.folder), [`${c.folder}back\\slash`])
    },
    'backslash',
  )

  promised(
    'keys with empty segments are different keys',
    async (c) => {
      const keys = ['a//b', 'a/b', 'a///b', '/a'].map((name) => c.folder + name)
      for (const key of keys) await c.put(key, key)
      for (const key of keys) assert.equal((await c.get(key)).toString(), key)
      assert.deepEqual((await c.list(c.folder)).sort(), keys.sort())
    },
    'double-slash',
  )

  promised(
    'a key that would climb out of a folder is a key like any other',
    async (c) => {
      const keys = ['../../etc/passwd', './x', 'a/../b', '..'].map((name) => c.folder + name)
      for (const key of keys) await c.put(key, key)
      for (const key of keys) assert.equal((await c.get(key)).toString(), key)
      assert.deepEqual((await c.list(c.folder)).sort(), keys.sort())
    },
    'dot-segments',
  )

  promised(
    'a key and keys below it live side by side',
    async (c) => {
      for (const name of ['x', 'x/y', 'x/y/z']) await c.put(c.folder + name, name)
      assert.equal((await c.get(`${c.folder}x`)).toString(), 'x')
      assert.equal((await c.get(`${c.folder}x/y`)).toString(), 'x/y')
      assert.equal((await c.list(c.folder)).length, 3)
    },
    'key-and-folder',
  )

  promised(
    'a key that ends in a slash can hold bytes',
    async (c) => {
      await c.put(`${c.folder}k/`, 'bytes')
      assert.equal((await c.get(`${c.folder}k/`)).toString(), 'bytes')
    },
    'folder-data',
  )

  promised(
    'a key of 1,024 bytes is taken, one of 1,025 is refused',
    async (c) => {
      const longest =
        c.folder +
        'ü'
          .repeat((1024 - c.folder.length) / 2)
          .padEnd(1024 - c.folder.length - Math.floor((1024 - c.folder.length) / 2), 'x')
      assert.equal(Buffer.byteLength(longest), 1024)
      await c.put(longest, 'long')
      assert.equal((await c.get(longest)).toString(), 'long')
      assert.equal((await failureOf(c.put(`${longest}x`, ''))).status, 400)
    },
    'long-keys',
  )

  promised('an empty object is an object', async (c) => {
    const key = `${c.folder}empty`
    assert.equal(await c.put(key, ''), '"d41d8cd98f00b204e9800998ecf8427e"')
    assert.equal((await c.get(key)).length, 0)
    assert.deepEqual(await c.list(key), [key])
  })

  promised('ranges give exactly the bytes asked for, and say of how many', async (c) => {
    const Key = `${c.folder}ranges`
    await c.put(Key, '0123456789')
    const cases: [string, string, string][] = [
      ['bytes=0-0', '0', 'bytes 0-0/10'],
      ['bytes=3-5', '345', 'bytes 3-5/10'],
      ['bytes=7-', '789', 'bytes 7-9/10'],
      ['bytes=-4', '6789', 'bytes 6-9/10'],
      ['bytes=8-99', '89', 'bytes 8-9/10'],
      ['bytes=-99', '0123456789', 'bytes 0-9/10'],
    ]
    for (const [Range, bytes, ContentRange] of cases) {
      const got = await c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key, Range }))
      assert.equal(await got.Body?.transformToString(), bytes, Range)
      assert.equal(got.ContentRange, ContentRange)
      assert.equal(got.ContentLength, bytes.length)
      assert.equal(got.$metadata.httpStatusCode, 206)
    }
  })

  promised(
    'a range beyond the end is refused with 416',
    async (c) => {
      const Key = `${c.folder}short`
      await c.put(Key, '0123456789')
      const call = c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key, Range: 'bytes=10-' }))
      assert.deepEqual(await failureOf(call), { code: 'InvalidRange', status: 416 })
      await c.put(Key, '')
      const empty = c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key, Range: 'bytes=0-0' }))
      assert.equal((await failureOf(empty)).status, 416)
    },
    'range-beyond',
  )

  promised('what is not there is named: the key, or the bucket', async (c) => {
    const { Bucket, client, s3 } = c
    const Key = `${c.folder}nothing`
    assert.deepEqual(await failureOf(client.send(new s3.GetObjectCommand({ Bucket, Key }))), {
      code: 'NoSuchKey',
      status: 404,
    })
    assert.equal((await failureOf(client.send(new s3.HeadObjectCommand({ Bucket, Key })))).status, 404)
    assert.deepEqual(
      await failureOf(client.send(new s3.GetObjectCommand({ Bucket: 'no-such-bucket-here', Key }))),
      { code: 'NoSuchBucket', status: 404 },
    )
    const absent = client.send(new s3.HeadBucketCommand({ Bucket: 'no-such-bucket-here' }))
    assert.equal((await failureOf(absent)).status, 404)
    await client.send(new s3.HeadBucketCommand({ Bucket }))
  })

  promised('a later PUT replaces bytes, metadata and ETag', async (c) => {
    const Key = `${c.folder}twice`
    const first = await c.put(Key, 'first')
    const second = await c.put(Key, 'the second')
    assert.notEqual(first, second)
    assert.equal((await c.get(Key)).toString(), 'the second')
    assert.deepEqual(await c.list(Key), [Key])
  })

  promised('a deleted object is gone, and deleting it again is no error', async (c) => {
    const Key = `${c.folder}gone`
    await c.put(Key, 'x')
    for (let i = 0; i < 2; i++) await c.client.send(new c.s3.DeleteObjectCommand({ Bucket: c.Bucket, Key }))
    assert.deepEqual(await c.list(c.folder), [])
  })

  promised(
    'DeleteObjects takes 1,000 keys at once, of any name, missing ones too',
    async (c) => {
      const names = ['a b', 'a&b<c>', 'ü', '+', '%41']
      for (const name of names) await c.put(c.folder + name, name)
      await c.put(`${c.folder}stays`, '')
      const Objects = [...names, ...Array.from({ length: 995 }, (_, i) => `missing-${i}`)].map((name) => ({
        Key: c.folder + name,
      }))
      const answer = await c.client.send(
        new c.s3.DeleteObjectsCommand({ Bucket: c.Bucket, Delete: { Objects, Quiet: true } }),
      )
      assert.deepEqual(answer.Errors ?? [], [])
      assert.deepEqual(await c.list(c.folder), [`${c.folder}stays`])
    },
    'delete-batch',
  )

  promised('a copy has the bytes and the metadata of its source, or new metadata on request', async (c) => {
    const { Bucket, client, s3 } = c
    const source = `${c.folder}source ü+%.bin`
    const CopySource = encodeURI(`${Bucket}/${source}`).replaceAll('+', '%2B')
    await client.send(new s3.PutObjectCommand({ Bucket, Key: source, Body: 'copied', Metadata: { a: '1' } }))
    await client.send(new s3.CopyObjectCommand({ Bucket, Key: `${c.folder}copy`, CopySource }))
    const copy = await client.send(new s3.GetObjectCommand({ Bucket, Key: `${c.folder}copy` }))
    assert.equal(await copy.Body?.transformToString(), 'copied')
    assert.deepEqual(copy.Metadata, { a: '1' })
    await client.send(
      new s3.CopyObjectCommand({
        Bucket,
        Key: `${c.folder}changed`,
        CopySource,
        MetadataDirective: 'REPLACE',
        Metadata: { b: '2' },
      }),
    )
    const changed = await client.send(new s3.HeadObjectCommand({ Bucket, Key: `${c.folder}changed` }))
    assert.deepEqual(changed.Metadata, { b: '2' })
  })

  promised(
    'a copy whose source is no longer the one expected is refused',
    async (c) => {
      const { Bucket, client, s3 } = c
      const etag = await c.put(`${c.folder}source`, 'copied')
      const copy = (condition: { CopySourceIfMatch?: string; CopySourceIfNoneMatch?: string }) =>
        client.send(
          new s3.CopyObjectCommand({
            Bucket,
            Key: `${c.folder}copy`,
            CopySource: `${Bucket}/${c.folder}source`,
            ...condition,
          }),
        )
      await copy({ CopySourceIfMatch: etag })
      assert.equal((await failureOf(copy({ CopySourceIfMatch: '"another"' }))).status, 412)
      const unchanged = await failureOf(copy({ CopySourceIfNoneMatch: etag }))
      assert.equal(unchanged.status, c.lacks('copy-none-match') ? 304 : 412)
    },
    'copy-conditions',
  )
}
