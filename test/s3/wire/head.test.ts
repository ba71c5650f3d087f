import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Head, parseHead } from '../../../src/s3/wire/head.ts'

const parsed = (...lines: string[]): Head => {
  const head = parseHead(['HTTP/1.1 200 OK', ...lines].join('\r\n'))
  assert.ok(typeof head !== 'string', `refused: ${head}`)
  return head
}

test("an answer's head tells status, length, range, ETag, checksums and what becomes of the connection", () => {
  const head = parseHead(
    [
      'HTTP/1.1 206 Partial Content',
      'Date: Sun, 22 Nov 2026 23:30:14 GMT',
      'CONTENT-LENGTH: 10',
      'content-range:bytes 5-14/100',
      'ETag: \t"abc-2" ',
      'Connection: keep-alive',
      'Keep-Alive: timeout=5, max=100',
      'Retry-After: 3',
      'x-amz-checksum-crc32: AAAAAA==',
      'X-Amz-Checksum-CRC32C: AAAAAQ==',
      'x-amz-checksum-crc64nvme: AAAAAAAAAAA=',
      'x-amz-checksum-sha1: s1',
      'x-amz-checksum-sha256: s2',
      'x-amz-checksum-type: FULL_OBJECT',
      'x-amz-meta-naïve: caf\xe9',
    ]
      .join('\r\n')
      .replace('naïve', 'naive'),
  )
  assert.deepEqual(head, {
    status: 206,
    length: 10,
    chunked: false,
    close: false,
    keepAliveMs: 5000,
    etag: '"abc-2"',
    range: { first: 5, last: 14, total: 100 },
    sums: {
      ChecksumCRC32: 'AAAAAA==',
      ChecksumCRC32C: 'AAAAAQ==',
      ChecksumCRC64NVME: 'AAAAAAAAAAA=',
      ChecksumSHA1: 's1',
      ChecksumSHA256: 's2',
      ChecksumType: 'FULL_OBJECT',
    },
    retryAfter: '3',
  })
})

test('what a head does not say is not made up', () => {
  assert.deepEqual(parsed(), {
    status: 200,
    length: undefined,
    chunked: false,
    close: false,
    keepAliveMs: undefined,
    etag: '',
    range: undefined,
    sums: {},
    retryAfter: undefined,
  })
})

test('Connection: close is heard among other tokens and in any case, and in no longer word', () => {
  for (const value of ['close', 'Close', 'keep-alive, close', 'close,x', 'x , CLOSE ']) {
    assert.equal(parsed(`Connection: ${value}`).close, true, value)
  }
  for (const value of ['keep-alive', 'closed', 'x-close', '']) {
    assert.equal(parsed(`Connection: ${value}`).close, false, value)
  }
})

const REFUSED: [string, string[] | string][] = [
  ['another protocol', 'HTTP/1.0 200 OK'],
  ['HTTP/2 in text', 'HTTP/2 200'],
  ['a banner of another server', 'SSH-2.0-OpenSSH_9.6'],
  ['nothing', ''],
  ['a status of two digits', 'HTTP/1.1 20 OK'],
  ['a status of four digits', 'HTTP/1.1 2000 OK'],
  ['a status beyond 5xx', 'HTTP/1.1 600 OK'],
  ['two blanks before the status', 'HTTP/1.1  200 OK'],
  ['a lone CR in the status line', 'HTTP/1.1 200 O\rK'],
  ['a header before the status line', '\r\nHTTP/1.1 200 OK'],
  ['a folded header', ['X-A: 1', ' Content-Length: 5']],
  ['a folded header by a tab', ['Content-Length: 5', '\t6']],
  ['a blank before the colon', ['Content-Length : 5']],
  ['a blank before the name', [' Content-Length: 5']],
  ['a line without a colon', ['Content-Length 5']],
  ['an empty name', [': 5']],
  ['a lone LF between headers', ['X-A: 1\nContent-Length: 5']],
  ['a lone CR between headers', ['X-A: 1\rContent-Length: 5']],
  ['a NUL in a value', ['X-A: a\0b']],
  ['a control character in a value', ['X-A: a\x0bb']],
  ['a name that is no token', ['X(A): 1']],
  ['two lengths', ['Content-Length: 5', 'Content-Length: 6']],
  ['the same length twice', ['Content-Length: 5', 'content-length: 5']],
  ['two lengths in one header', ['Content-Length: 5, 5']],
  ['an empty length', ['Content-Length:']],
  ['a signed length', ['Content-Length: +5']],
  ['a negative length', ['Content-Length: -5']],
  ['a length in hexadecimal', ['Content-Length: 0x5']],
  ['a length with a fraction', ['Content-Length: 5.0']],
  ['a length beyond what a number holds', ['Content-Length: 99999999999999999999']],
  ['two ETags', ['ETag: "a"', 'Etag: "b"']],
  ['two Transfer-Encodings', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity']],
  ['two ranges', ['Content-Range: bytes 0-1/2', 'Content-Range: bytes 0-1/2']],
  ['two sums of one kind', ['x-amz-checksum-crc32: AAAAAA==', 'x-amz-checksum-crc32: AAAAAB==']],
]

for (const [what, lines] of REFUSED) {
  test(`refused in a head: ${what}`, () => {
    const text = typeof lines === 'string' ? lines : ['HTTP/1.1 200 OK', ...lines].join('\r\n')
    assert.equal(typeof parseHead(text), 'string')
  })
}

test('a range that is not one is refused under a 206, and of no interest under a 416', () => {
  for (const range of ['bytes */100', 'bytes 0-9/*', 'bytes 0-9', 'items 0-9/10', 'bytes 0-9/10, 20-29/10']) {
    assert.equal(parseHead(`HTTP/1.1 206 P\r\nContent-Range: ${range}`), 'an odd range', range)
    assert.notEqual(typeof parseHead(`HTTP/1.1 416 R\r\nContent-Range: ${range}`), 'string', range)
  }
})

test('Transfer-Encoding is told whatever it is and whether or not there is a length beside it', () => {
  assert.equal(parsed('Transfer-Encoding: chunked').chunked, true)
  assert.equal(parsed('Content-Length: 5', 'transfer-encoding: identity').chunked, true)
})

test('any text either makes a head or a short reason, and never an exception', () => {
  const piece = fc.oneof(
    fc.constantFrom('HTTP/1.1 200 OK', '\r\n', '\r', '\n', ':', ' ', 'Content-Length: 5', 'ETag: "x"', '\0'),
    fc.string({ maxLength: 20 }),
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const head = parseHead(pieces.join(''))
      if (typeof head === 'string') assert.ok(head.length > 0 && head.length < 40)
      else assert.ok(head.status >= 100 && head.status < 600)
    }),
  )
})

test('headers of no interest, in any order and number, change nothing', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/).map((text) => `x-other-${text}`)
  const value = fc.stringMatching(/^[\x21-\x7e]{0,40}$/)
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 20 }), fc.nat(20), (others, at) => {
      const lines = others.map(([a, b]) => `${a}: ${b}`)
      lines.splice(at, 0, 'Content-Length: 77', 'ETag: "q"')
      const head = parsed(...lines)
      assert.equal(head.length, 77)
      assert.equal(head.etag, '"q"')
    }),
  )
})
