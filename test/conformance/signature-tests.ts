import assert from 'node:assert/strict'
import type { Promised } from './suite.ts'

const HOUR = 3_600_000

export function signatureTests(promised: Promised): void {
  promised('a request with a signature that is off by one digit is refused', async (c) => {
    const answer = await c.raw.send({
      query: { 'list-type': '2' },
      tamper(headers) {
        const { authorization = '' } = headers
        headers.authorization = authorization.slice(0, -1) + (authorization.endsWith('0') ? '1' : '0')
      },
    })
    assert.deepEqual([answer.status, answer.code], [403, 'SignatureDoesNotMatch'])
  })

  promised('a signed header that was changed on its way is refused, and nothing appears', async (c) => {
    const answer = await c.raw.send({
      method: 'PUT',
      key: `${c.folder}x`,
      body: 'x',
      headers: { 'x-amz-meta-who': 'me' },
      tamper(headers) {
        headers['x-amz-meta-who'] = 'you'
      },
    })
    assert.deepEqual([answer.status, answer.code], [403, 'SignatureDoesNotMatch'])
    assert.deepEqual(await c.list(c.folder), [])
  })

  promised(
    'an unknown access key is refused by name',
    async (c) => {
      const answer = await c.raw.send({
        key: 'x',
        tamper(headers) {
          headers.authorization = (headers.authorization ?? '').replace(
            /Credential=[^/]+/,
            'Credential=NOBODY',
          )
        },
      })
      assert.deepEqual([answer.status, answer.code], [403, 'InvalidAccessKeyId'])
    },
    'access-key-name',
  )

  promised('a request without a signature is refused', async (c) => {
    const answer = await c.raw.send({ key: `${c.folder}x`, unsigned: true })
    assert.deepEqual([answer.status, answer.code], [403, 'AccessDenied'])
  })

  promised(
    'a clock that is an hour off is refused, before and behind',
    async (c) => {
      for (const skew of [-HOUR, HOUR]) {
        const answer = await c.raw.send({ query: { 'list-type': '2' }, now: Date.now() + skew })
        assert.deepEqual([answer.status, answer.code], [403, 'RequestTimeTooSkewed'])
      }
      const near = await c.raw.send({ query: { 'list-type': '2' }, now: Date.now() - 10 * 60_000 })
      assert.equal(near.status, 200)
    },
    'clock-skew',
  )

  promised('odd characters in path, query and metadata are signed as they are sent', async (c) => {
    const key = `${c.folder}a b+c%20d'(e)!*~ü/\u{1f4be}`
    const headers = { 'x-amz-meta-odd': "a  b'(c)!*" }
    const put = await c.raw.send({ method: 'PUT', key, body: 'odd', headers })
    assert.equal(put.status, 200, put.body.toString())
    const list = await c.raw.send({
      query: { 'list-type': '2', prefix: key, delimiter: "'", marker: ' +%&=' },
    })
    assert.equal(list.status, 200, list.body.toString())
    assert.equal((await c.raw.send({ key })).body.toString(), 'odd')
  })

  promised(
    'the bucket may stand in the host name',
    async (c) => {
      const key = `${c.folder}virtual`
      const put = await c.raw.send({ method: 'PUT', key, body: 'virtual', virtualHost: true })
      assert.equal(put.status, 200, put.body.toString())
      assert.equal((await c.get(key)).toString(), 'virtual')
      assert.equal((await c.raw.send({ key, virtualHost: true })).body.toString(), 'virtual')
    },
    'virtual-host',
  )
}
