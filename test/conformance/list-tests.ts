import assert from 'node:assert/strict'
import type { Promised } from './suite.ts'
import type { Context } from './target.ts'

const MANY = 2500
const IN_FLIGHT = 16

export function listTests(promised: Promised): void {
  promised(
    `${MANY} keys come in pages of at most 1,000, each key once, in the order of their bytes`,
    async (c) => {
      // U+FB01 sorts before U+1F4BE by its bytes and after it by UTF-16 units.
      const keys = Array.from(
        { length: MANY },
        (_, i) => `${c.folder}${['a', 'ü', '\ufb01', '\u{1f4be}', '+ %'][i % 5]}-${i}`,
      )
      await putAll(c, keys)
      const got: string[] = []
      let pages = 0
      for await (const page of c.s3.paginateListObjectsV2(
        { client: c.client },
        { Bucket: c.Bucket, Prefix: c.folder },
      )) {
        pages++
        assert.ok((page.Contents ?? []).length <= 1000)
        assert.equal(page.KeyCount, page.Contents?.length)
        for (const { Key, Size } of page.Contents ?? []) {
          got.push(Key ?? '')
          assert.equal(Size, 0)
        }
      }
      assert.equal(pages, 3)
      assert.deepEqual(
        got,
        keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      )
    },
    'list-order',
  )

  promised('every key is listed exactly once, whatever the size of a page', async (c) => {
    const keys = Array.from({ length: 25 }, (_, i) => `${c.folder}${i % 3 === 0 ? 'sub/' : ''}${i}`)
    await putAll(c, keys)
    for (const MaxKeys of [1, 7, 25, 26]) {
      const got: string[] = []
      const input = { Bucket: c.Bucket, Prefix: c.folder, MaxKeys }
      for await (const page of c.s3.paginateListObjectsV2({ client: c.client }, input))
        for (const { Key } of page.Contents ?? []) got.push(Key ?? '')
      assert.deepEqual(got.sort(), keys.sort(), `pages of ${MaxKeys}`)
    }
  })

  promised('a delimiter shows one level: keys and folders, each once over all pages', async (c) => {
    await putAll(
      c,
      ['a', 'b/1', 'b/2', 'b/c/3', 'd', 'e/4', 'f/5', 'f/6', 'g'].map((name) => c.folder + name),
    )
    for (const MaxKeys of [1, 2, 3, 1000]) {
      const keys: string[] = []
      const folders: string[] = []
      const input = { Bucket: c.Bucket, Prefix: c.folder, Delimiter: '/', MaxKeys }
      for await (const page of c.s3.paginateListObjectsV2({ client: c.client }, input)) {
        for (const { Key } of page.Contents ?? []) keys.push((Key ?? '').slice(c.folder.length))
        for (const { Prefix } of page.CommonPrefixes ?? [])
          folders.push((Prefix ?? '').slice(c.folder.length))
      }
      assert.deepEqual(keys, ['a', 'd', 'g'], `pages of ${MaxKeys}`)
      assert.deepEqual(folders, ['b/', 'e/', 'f/'], `pages of ${MaxKeys}`)
    }
  })

  promised('a prefix is a run of characters: it need not end at a slash', async (c) => {
    await putAll(
      c,
      ['run-1/x', 'run-10/x', 'run-2/x'].map((name) => c.folder + name),
    )
    assert.deepEqual(await c.list(`${c.folder}run-1`), [`${c.folder}run-1/x`, `${c.folder}run-10/x`])
    assert.deepEqual(await c.list(`${c.folder}run-1/`), [`${c.folder}run-1/x`])
    assert.deepEqual(await c.list(`${c.folder}no`), [])
  })

  promised(
    'start-after begins behind the key named, present or not',
    async (c) => {
      await putAll(
        c,
        ['a', 'b', 'd'].map((name) => c.folder + name),
      )
      for (const name of ['b', 'c']) {
        const page = await c.client.send(
          new c.s3.ListObjectsV2Command({
            Bucket: c.Bucket,
            Prefix: c.folder,
            StartAfter: c.folder + name,
          }),
        )
        assert.deepEqual(
          page.Contents?.map((o) => o.Key),
          [`${c.folder}d`],
        )
      }
    },
    'start-after',
  )

  promised(
    'with encoding-type=url names come percent-encoded, so that any of them survives XML',
    async (c) => {
      const name = `${c.folder}a b\u0001+ü&`
      await putAll(c, [name])
      const page = await c.client.send(
        new c.s3.ListObjectsV2Command({ Bucket: c.Bucket, Prefix: c.folder, EncodingType: 'url' }),
      )
      const encoded = page.Contents?.[0]?.Key ?? ''
      assert.match(encoded, /^[\w.~*/%+-]+$/)
      assert.equal(decodeURIComponent(encoded.replaceAll('+', ' ')), name)
    },
    'encoding-type',
  )

  promised('an entry gives size, ETag and time as HEAD does', async (c) => {
    const Key = `${c.folder}entry`
    const etag = await c.put(Key, '12345')
    const page = await c.client.send(new c.s3.ListObjectsV2Command({ Bucket: c.Bucket, Prefix: Key }))
    const head = await c.client.send(new c.s3.HeadObjectCommand({ Bucket: c.Bucket, Key }))
    const [entry] = page.Contents ?? []
    assert.equal(entry?.Size, 5)
    assert.equal(entry?.ETag, etag)
    const difference = (entry?.LastModified?.getTime() ?? 0) - (head.LastModified?.getTime() ?? 0)
    assert.ok(Math.abs(difference) < 1000)
  })
}

async function putAll(c: Context, keys: readonly string[]): Promise<void> {
  const waiting = [...keys]
  const worker = async () => {
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      const { status, body } = await c.raw.send({ method: 'PUT', key })
      assert.equal(status, 200, `${key}: ${body.toString()}`)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
}
