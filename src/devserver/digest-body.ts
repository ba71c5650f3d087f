import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { s3Failure } from './failure.ts'
import { ALGORITHMS, type Algorithm, type Hasher, openHasher } from './hashers.ts'

export interface Checksum {
  algorithm: Algorithm
  /** base64; composites end in `-N` */
  value: string
}

export interface BodyDigest {
  update(bytes: Uint8Array): void
  /** Compares everything the request promised about its body. */
  finish(trailers: ReadonlyMap<string, string>): { md5: Buffer; size: number; checksum: Checksum | undefined }
}

/** Header of each algorithm, lower case. */
export function checksumHeader(algorithm: Algorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`
}

/** The one checksum the headers give; more than one is an error. */
export function checksumOf(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Checksum | undefined {
  let found: Checksum | undefined
  for (const algorithm of ALGORITHMS) {
    const value = headers[checksumHeader(algorithm)]
    if (typeof value !== 'string') continue
    if (found !== undefined)
      throw s3Failure(
        'InvalidRequest',
        'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
      )
    found = { algorithm, value }
  }
  return found
}

/** Content-MD5, x-amz-content-sha256 and the x-amz-checksum-* headers or trailer of one request. */
export function digestBody(headers: IncomingHttpHeaders): BodyDigest {
  const given = checksumOf(headers)
  const trailerName = headers['x-amz-trailer']
  const trailed = ALGORITHMS.find((algorithm) => trailerName === checksumHeader(algorithm))
  if (trailerName !== undefined && trailed === undefined)
    throw s3Failure('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported')
  if (given !== undefined && trailed !== undefined)
    throw s3Failure('InvalidRequest', 'Expecting a single x-amz-checksum- header')
  const algorithm = given?.algorithm ?? trailed
  if (algorithm === undefined && headers['x-amz-sdk-checksum-algorithm'] !== undefined)
    throw s3Failure(
      'InvalidRequest',
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    )
  const payloadHash = headers['x-amz-content-sha256']
  const sha =
    typeof payloadHash === 'string' && /^[0-9a-f]{64}$/.test(payloadHash) ? openHasher('SHA256') : undefined
  const checksum: Hasher | undefined = algorithm === undefined ? undefined : openHasher(algorithm)
  const md5 = createHash('md5')
  const wantedMd5 = headers['content-md5']
  if (wantedMd5 !== undefined && Buffer.from(String(wantedMd5), 'base64').length !== 16)
    throw s3Failure('InvalidDigest', 'The Content-MD5 you specified was invalid.')
  let size = 0

  return {
    update(bytes) {
      size += bytes.length
      md5.update(bytes)
      sha?.update(bytes)
      checksum?.update(bytes)
    },
    finish(trailers) {
      const hash = md5.digest()
      if (sha !== undefined && sha.digest().toString('hex') !== payloadHash)
        throw s3Failure(
          'XAmzContentSHA256Mismatch',
          "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
      if (wantedMd5 !== undefined && hash.toString('base64') !== wantedMd5)
        throw s3Failure('BadDigest', 'The Content-MD5 you specified did not match what we received.')
      if (algorithm === undefined || checksum === undefined) return { md5: hash, size, checksum: undefined }
      const wanted = given?.value ?? trailers.get(checksumHeader(algorithm))
      const value = checksum.digest().toString('base64')
      if (wanted === undefined)
        throw s3Failure('MalformedTrailerError', `The trailer lacks ${checksumHeader(algorithm)}.`)
      if (Buffer.from(wanted, 'base64').length !== Buffer.from(value, 'base64').length)
        throw s3Failure('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`)
      if (wanted !== value)
        throw s3Failure('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`)
      return { md5: hash, size, checksum: { algorithm, value } }
    },
  }
}
