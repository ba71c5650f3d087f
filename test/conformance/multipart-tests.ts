import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { ChecksumAlgorithm, ChecksumType, CompletedPart } from '@aws-sdk/client-s3'
import { crc32, crc32Combine, crcBase64 } from '../../src/checksum/crc32.ts'
import { crc32c } from '../../src/checksum/crc32c.ts'
import { crc64Base64, crc64nvme } from '../../src/checksum/crc64nvme.ts'
import type { Promised } from './suite.ts'
import { type Context, failureOf } from './target.ts'

const MIB = 1024 * 1024
const PART = 5 * MIB
/** Two whole parts and a shorter last one, no two blocks alike. */
const BYTES = Buffer.alloc(2 * PART + 12_345)
for (let at = 0; at < BYTES.length; at += 1024) BYTES.writeUInt32BE(at, Math.min(at, BYTES.length - 4))
const PARTS = [BYTES.subarray(0, PART), BYTES.subarray(PART, 2 * PART), BYTES.subarray(2 * PART)]

interface CreateOptions {
  ChecksumAlgorithm?: ChecksumAlgorithm
  ChecksumType?: ChecksumType
  Metadata?: Record<string, string>
}

export function multipartTests(promised: Promised): void {
  promised('lib-storage uploads a stream of unknown length in parts', async (c) => {
    const { Upload } = await import('@aws-sdk/lib-storage')
    const Key = `${c.folder}stream`
    const Body = Readable.from([BYTES.subarray(0, 3 * MIB), BYTES.subarray(3 * MIB)])
    await new Upload({ client: c.client, params: { Bucket: c.Bucket, Key, Body } }).done()
    assert.ok(BYTES.equals(await c.get(Key)))
  })

  promised('parts become one object: its bytes, its metadata, an ETag of the MD5s', async (c) => {
    const Key = `${c.folder}parts`
    const UploadId = await create(c, Key, { Metadata: { origin: 'parts' } })
    assert.deepEqual(await c.list(c.folder), [])
    const Parts = await putParts(c, Key, UploadId)
    assert.deepEqual(await c.list(c.folder), [])
    const done = await complete(c, Key, UploadId, Parts)
    const md5s = PARTS.map((part) => createHash('md5').update(part).digest())
    assert.equal(done.ETag, `"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-3"`)
    const got = await c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key }))
    assert.ok(BYTES.equals(Buffer.from((await got.Body?.transformToByteArray()) ?? [])))
    assert.equal(got.ETag, done.ETag)
    assert.deepEqual(got.Metadata, { origin: 'parts' })
    const Range = `bytes=${PART - 3}-${2 * PART + 1}`
    const range = await c.client.send(new c.s3.GetObjectCommand({ Bucket: c.Bucket, Key, Range }))
    const across = Buffer.from((await range.Body?.transformToByteArray()) ?? [])
    assert.ok(BYTES.subarray(PART - 3, 2 * PART + 2).equals(across))
  })

  promised('a part that is sent again counts as it was sent last', async (c) => {
    const Key = `${c.folder}again`
    const UploadId = await create(c, Key)
    await putPart(c, Key, UploadId, 1, Buffer.from('first'))
    const { ETag } = await putPart(c, Key, UploadId, 1, Buffer.from('second'))
    await complete(c, Key, UploadId, [{ PartNumber: 1, ETag }])
    assert.equal((await c.get(Key)).toString(), 'second')
  })

  promised(
    'ListParts tells number, size and ETag of every part, page by page',
    async (c) => {
      const { Bucket, client, s3 } = c
      const Key = `${c.folder}listed`
      const UploadId = await create(c, Key)
      const sent = new Map<number, string>()
      for (const number of [7, 1, 3, 10_000, 5]) {
        const { ETag } = await putPart(c, Key, UploadId, number, Buffer.from(`part ${number}`))
        sent.set(number, ETag ?? '')
      }
      const listed: number[] = []
      let pages = 0
      for await (const page of s3.paginateListParts({ client }, { Bucket, Key, UploadId, MaxParts: 2 })) {
        assert.ok((page.Parts ?? []).length <= 2)
        assert.ok(++pages <= 4, 'paging does not end')
        for (const part of page.Parts ?? []) {
          listed.push(part.PartNumber ?? 0)
          assert.equal(part.ETag, sent.get(part.PartNumber ?? 0))
          assert.equal(part.Size, `part ${part.PartNumber}`.length)
        }
      }
      assert.deepEqual(listed, [1, 3, 5, 7, 10_000])
      await abort(c, Key, UploadId)
    },
    'list-parts-marker',
  )

  promised(
    'ListParts tells the checksums of parts, of an upload made with an algorithm',
    async (c) => {
      const { Bucket, client, s3 } = c
      const Key = `${c.folder}sums`
      const UploadId = await create(c, Key, { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' })
      const body = Buffer.from('summed')
      await putPart(c, Key, UploadId, 1, body, { ChecksumCRC32: crcBase64(crc32(body)) })
      const { Parts } = await client.send(new s3.ListPartsCommand({ Bucket, Key, UploadId }))
      assert.equal(Parts?.[0]?.ChecksumCRC32, crcBase64(crc32(body)))
      await abort(c, Key, UploadId)
    },
    'part-checksums',
    'full-object',
  )

  promised('a part that is not what its checksum says is refused', async (c) => {
    const Key = `${c.folder}wrong`
    const UploadId = await create(c, Key)
    const call = putPart(c, Key, UploadId, 1, Buffer.from('bytes'), {
      ChecksumCRC32: crcBase64(crc32(Buffer.from('other'))),
    })
    assert.equal((await failureOf(call)).status, 400)
    await abort(c, Key, UploadId)
  })

  const full: [ChecksumAlgorithm, (bytes: Uint8Array) => string][] = [
    ['CRC32', (bytes) => crcBase64(crc32(bytes))],
    ['CRC32C', (bytes) => crcBase64(crc32c(bytes))],
    ['CRC64NVME', (bytes) => crc64Base64(crc64nvme(bytes))],
  ]
  for (const [algorithm, sum] of full) {
    const field = `Checksum${algorithm}`
    promised(
      `the FULL_OBJECT ${algorithm} of parts is that of the whole, and a wrong one is refused`,
      async (c) => {
        const Key = `${c.folder}full`
        const UploadId = await create(c, Key, { ChecksumAlgorithm: algorithm, ChecksumType: 'FULL_OBJECT' })
        const Parts: CompletedPart[] = []
        for (const [index, body] of PARTS.entries()) {
          const sums = { [field]: sum(body) }
          const { ETag } = await putPart(c, Key, UploadId, index + 1, body, sums)
          Parts.push({ PartNumber: index + 1, ETag, ...sums })
        }
        const wrong = { ChecksumType: 'FULL_OBJECT' as const, [field]: sum(PARTS[0] ?? BYTES) }
        assert.equal((await failureOf(complete(c, Key, UploadId, Parts, wrong))).status, 400)
        await complete(c, Key, UploadId, Parts, { ChecksumType: 'FULL_OBJECT', [field]: sum(BYTES) })
        const got = await c.raw.send({
          method: 'HEAD',
          key: Key,
          headers: { 'x-amz-checksum-mode': 'ENABLED' },
        })
        assert.equal(got.headers[`x-amz-checksum-${algorithm.toLowerCase()}`], sum(BYTES))
        assert.equal(got.headers['x-amz-checksum-type'], 'FULL_OBJECT')
      },
      'full-object',
      ...(algorithm === 'CRC64NVME' ? (['crc64nvme'] as const) : []),
    )
  }

  promised('CRC-32s of parts combine to that of the whole', async () => {
    let all = crc32(PARTS[0] ?? BYTES)
    for (const part of PARTS.slice(1)) all = crc32Combine(all, crc32(part), part.length)
    assert.equal(all, crc32(BYTES))
  })

  promised(
    'a COMPOSITE checksum is that of the parts’ checksums, and says how many',
    async (c) => {
      const Key = `${c.folder}composite`
      const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
      const UploadId = await create(c, Key, { ChecksumAlgorithm: 'SHA256' })
      const Parts: CompletedPart[] = []
      for (const [index, body] of PARTS.entries()) {
        const ChecksumSHA256 = sha(body).toString('base64')
        const { ETag } = await putPart(c, Key, UploadId, index + 1, body, { ChecksumSHA256 })
        Parts.push({ PartNumber: index + 1, ETag, ChecksumSHA256 })
      }
      await complete(c, Key, UploadId, Parts)
      const composite = sha(Buffer.concat(PARTS.map(sha))).toString('base64')
      const got = await c.raw.send({
        method: 'HEAD',
        key: Key,
        headers: { 'x-amz-checksum-mode': 'ENABLED' },
      })
      assert.equal(got.headers['x-amz-checksum-sha256'], `${composite}-3`)
    },
    'composite',
  )

  promised(
    'parts out of order, unknown or of another ETag are refused, and the upload stays',
    async (c) => {
      const Key = `${c.folder}refused`
      const UploadId = await create(c, Key)
      const [first, second] = await putParts(c, Key, UploadId, PARTS.slice(0, 2))
      if (first === undefined || second === undefined) throw new Error('two parts')
      const code = async (parts: CompletedPart[]) => (await failureOf(complete(c, Key, UploadId, parts))).code
      assert.equal(await code([second, first]), 'InvalidPartOrder')
      assert.equal(await code([first, { PartNumber: 9, ETag: first.ETag }]), 'InvalidPart')
      assert.equal(await code([first, { PartNumber: 2, ETag: `"${'0'.repeat(32)}"` }]), 'InvalidPart')
      await complete(c, Key, UploadId, [first, second])
    },
    'part-order',
  )

  promised(
    'a part under 5 MiB that is not the last is refused',
    async (c) => {
      const Key = `${c.folder}small`
      const UploadId = await create(c, Key)
      const Parts = await putParts(c, Key, UploadId, [Buffer.from('small'), Buffer.from('last')])
      assert.equal((await failureOf(complete(c, Key, UploadId, Parts))).code, 'EntityTooSmall')
      await abort(c, Key, UploadId)
    },
    'small-parts',
  )

  promised('an aborted upload is gone, with its parts', async (c) => {
    const Key = `${c.folder}aborted`
    const UploadId = await create(c, Key)
    const Parts = await putParts(c, Key, UploadId, [Buffer.from('x')])
    await abort(c, Key, UploadId)
    assert.equal((await failureOf(complete(c, Key, UploadId, Parts))).code, 'NoSuchUpload')
    assert.equal((await failureOf(putPart(c, Key, UploadId, 1, Buffer.from('y')))).code, 'NoSuchUpload')
    assert.deepEqual(await c.list(c.folder), [])
    assert.deepEqual(await openUploads(c, Key), [])
  })

  promised(
    'open uploads are listed by prefix, also several of one key',
    async (c) => {
      const keys = ['a', 'a', 'b/c'].map((name) => c.folder + name)
      const ids = await Promise.all(keys.map((key) => create(c, key)))
      const listed = await openUploads(c, c.folder)
      assert.deepEqual(listed.map((upload) => upload.id).sort(), [...ids].sort())
      for (const [index, id] of ids.entries()) await abort(c, keys[index] ?? '', id)
      assert.deepEqual(await openUploads(c, c.folder), [])
    },
    'uploads-prefix',
  )

  promised(
    'open uploads come page by page, each once',
    async (c) => {
      const keys = ['a', 'a', 'a', 'b', 'c'].map((name) => c.folder + name)
      const ids = await Promise.all(keys.map((key) => create(c, key)))
      const listed = await openUploads(c, c.folder, 2)
      assert.deepEqual(listed.map((upload) => upload.id).sort(), [...ids].sort())
      const order = listed.map((upload) => upload.key)
      assert.deepEqual(c.lacks('uploads-order') ? order.sort() : order, keys)
      for (const { key, id } of listed) await abort(c, key, id)
    },
    'uploads-paging',
    'uploads-prefix',
  )

  promised(
    'a part may be copied from a range of another object',
    async (c) => {
      const { Bucket, client, s3 } = c
      const Key = `${c.folder}copied`
      await c.put(`${c.folder}source`, '0123456789')
      const UploadId = await create(c, Key)
      const copied = await client.send(
        new s3.UploadPartCopyCommand({
          Bucket,
          Key,
          UploadId,
          PartNumber: 1,
          CopySource: `${Bucket}/${c.folder}source`,
          CopySourceRange: 'bytes=2-5',
        }),
      )
      await complete(c, Key, UploadId, [{ PartNumber: 1, ETag: copied.CopyPartResult?.ETag }])
      assert.equal((await c.get(Key)).toString(), '2345')
    },
    'part-copy',
  )
}

async function create(c: Context, Key: string, options: CreateOptions = {}): Promise<string> {
  const command = new c.s3.CreateMultipartUploadCommand({ Bucket: c.Bucket, Key, ...options })
  return (await c.client.send(command)).UploadId ?? ''
}

function putPart(c: Context, Key: string, UploadId: string, PartNumber: number, Body: Buffer, sums = {}) {
  return c.client.send(
    new c.s3.UploadPartCommand({ Bucket: c.Bucket, Key, UploadId, PartNumber, Body, ...sums }),
  )
}

async function putParts(c: Context, Key: string, UploadId: string, bodies = PARTS): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  for (const [index, body] of bodies.entries()) {
    const { ETag } = await putPart(c, Key, UploadId, index + 1, body)
    parts.push({ PartNumber: index + 1, ETag })
  }
  return parts
}

function complete(c: Context, Key: string, UploadId: string, Parts: CompletedPart[], sums = {}) {
  return c.client.send(
    new c.s3.CompleteMultipartUploadCommand({
      Bucket: c.Bucket,
      Key,
      UploadId,
      MultipartUpload: { Parts },
      ...sums,
    }),
  )
}

async function abort(c: Context, Key: string, UploadId: string): Promise<void> {
  await c.client.send(new c.s3.AbortMultipartUploadCommand({ Bucket: c.Bucket, Key, UploadId }))
}

async function openUploads(
  c: Context,
  Prefix: string,
  MaxUploads = 1000,
): Promise<{ key: string; id: string }[]> {
  const found: { key: string; id: string }[] = []
  let markers: { KeyMarker?: string; UploadIdMarker?: string } = {}
  for (let pages = 0; ; pages++) {
    if (pages > 20) throw new Error('paging does not end')
    const page = await c.client.send(
      new c.s3.ListMultipartUploadsCommand({ Bucket: c.Bucket, Prefix, MaxUploads, ...markers }),
    )
    for (const { Key, UploadId } of page.Uploads ?? []) found.push({ key: Key ?? '', id: UploadId ?? '' })
    if (!page.IsTruncated) return found
    markers = {
      ...(page.NextKeyMarker === undefined ? {} : { KeyMarker: page.NextKeyMarker }),
      ...(page.NextUploadIdMarker === undefined ? {} : { UploadIdMarker: page.NextUploadIdMarker }),
    }
  }
}
