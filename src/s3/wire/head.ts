import type { ChecksumFields } from '../verify.ts'

/** Bytes of an answer's head; S3's own have less than 2 KiB. */
export const MAX_HEAD_BYTES = 64 * 1024

/** What an answer says of itself before its body. */
export interface Head {
  status: number
  /** Content-Length, bytes; undefined: not told */
  length: number | undefined
  /** A Transfer-Encoding is there: where the body ends is not told here. */
  chunked: boolean
  /** The connection ends after this answer. */
  close: boolean
  /** ms that the server keeps an idle connection, where it tells */
  keepAliveMs: number | undefined
  /** With its quotes; '' where there is none */
  etag: string
  /** Content-Range: first byte, last byte, and the size of the whole object */
  range: { first: number; last: number; total: number } | undefined
  sums: ChecksumFields
  retryAfter: string | undefined
}

/**
 * The whole form: a status line, then lines of a token, a colon and a value without control characters. Folded
 * lines, lone CRs, lone LFs and blanks before the colon do not match.
 */
const FORM =
  /^HTTP\/1\.1 [1-5]\d\d(?: [\t\x20-\x7e\x80-\xff]*)?(?:\r\n[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*)*$/
const START = /^HTTP\/1\.1 [1-5]\d\d[ \r]/
const RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/
const COUNT = /^\d{1,15}$/
const CLOSE = /(?:^|[\t ,])close(?:$|[\t ,])/i
const TIMEOUT = /(?:^|[\t ,])timeout=(\d{1,6})(?:$|[\t ,;])/i

/**
 * Parses a head (latin1, without the empty line that ends it) by RFC 9112, strictly: whatever a second reader could
 * read in another way is refused. Returns the reason, a short phrase, when it is not understood.
 */
export function parseHead(text: string): Head | string {
  if (!FORM.test(text)) return START.test(text) ? 'a malformed head' : 'no HTTP/1.1'
  const head: Head = {
    status: Number(text.slice(9, 12)),
    length: undefined,
    chunked: false,
    close: false,
    keepAliveMs: undefined,
    etag: '',
    range: undefined,
    sums: {},
    retryAfter: undefined,
  }
  let seen = 0
  for (let at = text.indexOf('\r\n'); at >= 0; ) {
    const colon = text.indexOf(':', at)
    const next = text.indexOf('\r\n', colon)
    // Most headers are told apart by the length of their name alone: that costs nothing.
    if (LENGTHS[colon - at - 2] === 1) {
      const name = text.slice(at + 2, colon).toLowerCase()
      const bit = readField(head, name, trimmed(text, colon + 1, next < 0 ? text.length : next))
      if (typeof bit === 'string') return bit
      // Twice the same, even with one value, is never the work of one careful server.
      if (seen & bit) return 'a header twice'
      seen |= bit
    }
    at = next
  }
  return head
}

/** Reads one header into `head`. Its own bit; 0: of no interest; or why it is not understood. */
function readField(head: Head, name: string, value: string): number | string {
  switch (name) {
    case 'content-length':
      if (!COUNT.test(value)) return 'an odd length'
      head.length = Number(value)
      return 1
    case 'transfer-encoding':
      head.chunked = true
      return 2
    case 'content-range': {
      const range = RANGE.exec(value)
      // 416 says 'bytes */size', which is nothing to be read here.
      if (range === null) return head.status === 206 ? 'an odd range' : 4
      head.range = { first: Number(range[1]), last: Number(range[2]), total: Number(range[3]) }
      return 4
    }
    case 'etag':
      head.etag = value
      return 8
    case 'connection':
      head.close = CLOSE.test(value)
      return 16
    case 'keep-alive': {
      const seconds = TIMEOUT.exec(value)?.[1]
      if (seconds !== undefined) head.keepAliveMs = Number(seconds) * 1000
      return 32
    }
    case 'retry-after':
      head.retryAfter = value
      return 64
    case 'x-amz-checksum-crc32':
      head.sums.ChecksumCRC32 = value
      return 128
    case 'x-amz-checksum-crc32c':
      head.sums.ChecksumCRC32C = value
      return 256
    case 'x-amz-checksum-crc64nvme':
      head.sums.ChecksumCRC64NVME = value
      return 512
    case 'x-amz-checksum-sha1':
      head.sums.ChecksumSHA1 = value
      return 1024
    case 'x-amz-checksum-sha256':
      head.sums.ChecksumSHA256 = value
      return 2048
    case 'x-amz-checksum-type':
      head.sums.ChecksumType = value
      return 4096
    default:
      return 0
  }
}

/** Lengths of the names that readField() knows. */
const LENGTHS: readonly (0 | 1)[] = Array.from({ length: 32 }, (_, length) =>
  [4, 10, 11, 13, 14, 17, 19, 20, 21, 24].includes(length) ? 1 : 0,
)

/** Without the blanks around it that the form of a header allows. */
function trimmed(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09
}
