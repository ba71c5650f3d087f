import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { crc32, crcBase64 } from '../../src/checksum/crc32.ts'
import { crc32c } from '../../src/checksum/crc32c.ts'
import { crc64Base64, crc64nvme } from '../../src/checksum/crc64nvme.ts'
import { chunkedBody, type RawRequest } from './raw-client.ts'
import type { Promised, Quirk } from './suite.ts'

const BODY = Buffer.from('the bytes that every checksum here is about')
/** Chunks but the last have at least 8 KiB. */
const STREAM = Buffer.alloc(20_000, 'streamed ')
const WRONG = Buffer.from('THE bytes that every checksum here is about')

/** As in the headers, of any bytes. */
const SUMS: Record<string, (bytes: Uint8Array) => string> = {
  CRC32: (bytes) => crcBase64(crc32(bytes)),
  CRC32C: (bytes) => crcBase64(crc32c(bytes)),
  CRC64NVME: (bytes) => crc64Base64(crc64nvme(bytes)),
  SHA1: (bytes) => createHash('sha1').update(bytes).digest('base64'),
  SHA256: (bytes) => createHash('sha256').update(bytes).digest('base64'),
}

export function checksumTests(promised: Promised): void {
  for (const [algorithm, sum] of Object.entries(SUMS)) {
    const quirks: Quirk[] = algorithm === 'CRC64NVME' ? ['crc64nvme'] : []
    const name = `x-amz-checksum-${algorithm.toLowerCase()}`

    promised(
      `${algorithm} of a PUT is kept, and returned with the whole object when asked for`,
      async (c) => {
        const key = `${c.folder}${algorithm}`
        const put = await c.raw.send({ method: 'PUT', key, body: BODY, headers: { [name]: sum(BODY) } })
        assert.equal(put.status, 200, put.body.toString())
        const asked = await c.raw.send({ key, headers: { 'x-amz-checksum-mode': 'ENABLED' } })
        assert.equal(asked.headers[name], sum(BODY))
        assert.equal((await c.raw.send({ key })).headers[name], undefined)
        const head = await c.raw.send({ method: 'HEAD', key, headers: { 'x-amz-checksum-mode': 'ENABLED' } })
        assert.equal(head.headers[name], sum(BODY))
      },
      ...quirks,
    )

    promised(
      `a body that is not what its ${algorithm} says is refused, and nothing appears`,
      async (c) => {
        const key = `${c.folder}${algorithm}`
        const put = await c.raw.send({ method: 'PUT', key, body: BODY, headers: { [name]: sum(WRONG) } })
        assert.equal(put.status, 400, put.body.toString())
        assert.deepEqual(await c.list(c.folder), [])
      },
      ...quirks,
    )
  }

  promised('a body that is not what its Content-MD5 says is refused', async (c) => {
    const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('base64')
    const key = `${c.folder}md5`
    const put = await c.raw.send({ method: 'PUT', key, body: BODY, headers: { 'content-md5': md5(WRONG) } })
    assert.deepEqual([put.status, put.code], [400, 'BadDigest'])
    const right = await c.raw.send({ method: 'PUT', key, body: BODY, headers: { 'content-md5': md5(BODY) } })
    assert.equal(right.status, 200)
  })

  promised(
    'a body that is not what was signed is refused, and nothing appears',
    async (c) => {
      const payloadHash = createHash('sha256').update(WRONG).digest('hex')
      const key = `${c.folder}sha256`
      const put = await c.raw.send({ method: 'PUT', key, body: BODY, payloadHash })
      assert.deepEqual([put.status, put.code], [400, 'XAmzContentSHA256Mismatch'])
      assert.deepEqual(await c.list(c.folder), [])
    },
    'payload-hash',
  )

  promised('an unsigned payload is taken', async (c) => {
    const key = `${c.folder}unsigned`
    const put = await c.raw.send({ method: 'PUT', key, body: BODY, payloadHash: 'UNSIGNED-PAYLOAD' })
    assert.equal(put.status, 200, put.body.toString())
    assert.deepEqual(await c.get(key), BODY)
  })

  promised('the SDK streams a body with its checksum in the trailer', async (c) => {
    const { Bucket, client, s3 } = c
    const Key = `${c.folder}streamed`
    const body = Buffer.alloc(300_000, 'streamed ')
    await client.send(
      new s3.PutObjectCommand({
        Bucket,
        Key,
        Body: Readable.from([body.subarray(0, 100_000), body.subarray(100_000)]),
        ContentLength: body.length,
        ChecksumAlgorithm: 'CRC32',
      }),
    )
    assert.deepEqual(await c.get(Key), body)
  })

  const trailed = (key: string, bytes: Buffer, sum: string): RawRequest => ({
    method: 'PUT',
    key,
    payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
    headers: {
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(bytes.length),
      'x-amz-trailer': 'x-amz-checksum-crc32c',
    },
    body: chunkedBody([bytes.subarray(0, 10_000), bytes.subarray(10_000)], {
      trailers: { 'x-amz-checksum-crc32c': sum },
    }),
  })

  promised(
    'a checksum in the trailer is verified, kept, and the framing is no part of the object',
    async (c) => {
      const key = `${c.folder}trailer`
      const wrong = await c.raw.send(trailed(key, STREAM, SUMS.CRC32C?.(WRONG) ?? ''))
      assert.equal(wrong.status, 400)
      assert.deepEqual(await c.list(c.folder), [])
      const right = await c.raw.send(trailed(key, STREAM, SUMS.CRC32C?.(STREAM) ?? ''))
      assert.equal(right.status, 200, right.body.toString())
      const got = await c.raw.send({ key, headers: { 'x-amz-checksum-mode': 'ENABLED' } })
      assert.deepEqual(got.body, STREAM)
      assert.equal(got.headers['x-amz-checksum-crc32c'], SUMS.CRC32C?.(STREAM))
    },
    'unsigned-trailer',
  )

  promised(
    'aws-chunked is taken out of Content-Encoding, the rest of it stays',
    async (c) => {
      const request = trailed(`${c.folder}coding`, STREAM, SUMS.CRC32C?.(STREAM) ?? '')
      const headers = { ...request.headers, 'content-encoding': 'aws-chunked,gzip' }
      assert.equal((await c.raw.send({ ...request, headers })).status, 200)
      const got = await c.raw.send({ method: 'HEAD', key: `${c.folder}coding` })
      assert.equal(got.headers['content-encoding'], 'gzip')
    },
    'content-encoding',
    'unsigned-trailer',
  )

  const large = Buffer.alloc(150_000, 'signed chunk by chunk ')
  const pieces = [large.subarray(0, 65_536), large.subarray(65_536, 131_072), large.subarray(131_072)]
  const signedChunks = (key: string): RawRequest => ({
    method: 'PUT',
    key,
    payloadHash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    headers: { 'content-encoding': 'aws-chunked', 'x-amz-decoded-content-length': String(large.length) },
    sealBody: (seal) => chunkedBody(pieces, { seal }),
  })

  promised(
    'chunks signed one by one are taken',
    async (c) => {
      const key = `${c.folder}chunks`
      const put = await c.raw.send(signedChunks(key))
      assert.equal(put.status, 200, put.body.toString())
      assert.deepEqual(await c.get(key), large)
    },
    'signed-chunks',
  )

  promised(
    'chunks signed one by one with a signed trailer are taken',
    async (c) => {
      const key = `${c.folder}chunks`
      const request = signedChunks(key)
      const put = await c.raw.send({
        ...request,
        payloadHash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
        headers: { ...request.headers, 'x-amz-trailer': 'x-amz-checksum-sha256' },
        sealBody: (seal) =>
          chunkedBody(pieces, { seal, trailers: { 'x-amz-checksum-sha256': SUMS.SHA256?.(large) ?? '' } }),
      })
      assert.equal(put.status, 200, put.body.toString())
      assert.deepEqual(await c.get(key), large)
    },
    'signed-chunks',
  )

  promised(
    'a chunk that was changed on its way is refused, and nothing appears',
    async (c) => {
      const put = await c.raw.send({
        ...signedChunks(`${c.folder}chunks`),
        sealBody(seal) {
          const body = chunkedBody(pieces, { seal })
          body.writeUInt8(body.readUInt8(100_000) ^ 1, 100_000)
          return body
        },
      })
      if (c.lacks('chunk-error')) assert.equal(put.status, 500)
      else assert.deepEqual([put.status, put.code], [403, 'SignatureDoesNotMatch'])
      assert.deepEqual(await c.list(c.folder), [])
    },
    'signed-chunks',
    'chunk-signature',
  )
}
