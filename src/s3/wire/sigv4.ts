import { createHmac, hash } from 'node:crypto'
import type { WireCredentials } from './types.ts'

/** SHA-256 of nothing: the body of a GET. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** SHA-256's block, in which HMAC (RFC 2104) works. */
const BLOCK = 64

/** What one second's requests have in common. */
export interface Moment {
  /** As x-amz-date has it: 20261122T233054Z */
  date: string
  /** 20261122/us-east-1/s3/aws4_request */
  scope: string
  /** Hex, of the canonical request. */
  sign(canonical: string): string
}

/**
 * Signature Version 4 ("Authenticating Requests: Using the Authorization Header", S3 API reference), synchronous:
 * 3 µs a request. The signing key is kept for its day, dates for their second. `now` is in ms since the epoch.
 */
export function openSigV4(
  region: string,
  credentials: Pick<WireCredentials, 'secretAccessKey'>,
): (now: number) => Moment {
  let second = Number.NaN
  let day = ''
  let mac: (begin: string) => (hex: string) => string = () => () => ''
  let moment: Moment | undefined
  return (now) => {
    const current = Math.floor(now / 1000)
    if (moment !== undefined && current === second) return moment
    second = current
    const date = new Date(current * 1000).toISOString().replace(/[-:]|\.\d+/g, '')
    if (date.slice(0, 8) !== day) {
      day = date.slice(0, 8)
      mac = hmacSha256(signingKey(credentials.secretAccessKey, day, region))
    }
    const scope = `${day}/${region}/s3/aws4_request`
    const begin = `AWS4-HMAC-SHA256\n${date}\n${scope}\n`
    const sign = mac(begin)
    moment = { date, scope, sign: (canonical) => sign(hash('sha256', canonical)) }
    return moment
  }
}

/** The value of the header. `names`: the signed headers', as the canonical request has them. */
export function authorization(
  { accessKeyId }: Pick<WireCredentials, 'accessKeyId'>,
  { scope, sign }: Moment,
  { canonical, names }: { canonical: string; names: string },
): string {
  return `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${sign(canonical)}`
}

function signingKey(secret: string, day: string, region: string): Buffer {
  let key = Buffer.from(`AWS4${secret}`)
  for (const step of [day, region, 's3', 'aws4_request']) {
    key = createHmac('sha256', key).update(step).digest()
  }
  return key
}

/**
 * HMAC of an ASCII text that ends in a SHA-256 in hex, by two one-shot hashes over padded keys that are kept: half the
 * time of createHmac. The text's beginning is there before, so that one call costs no more than the two hashes.
 */
function hmacSha256(key: Buffer): (begin: string) => (hex: string) => string {
  const pad = Buffer.alloc(BLOCK, 0x36)
  const outer = Buffer.alloc(BLOCK + 32, 0x5c)
  for (const [i, byte] of key.entries()) {
    pad[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  }
  return (begin) => {
    const inner = Buffer.concat([pad, Buffer.from(begin, 'latin1'), Buffer.alloc(64)])
    const end = inner.length - 64
    return (hex) => {
      inner.write(hex, end, 'latin1')
      outer.write(hash('sha256', inner, 'binary'), BLOCK, 'latin1')
      return hash('sha256', outer)
    }
  }
}
