import { errorCode } from '../fs/error-code.ts'
import { Refusal } from './refusal.ts'
import { retryAfterMs } from './retry.ts'
import { TransportError } from './transport-error.ts'

/**
 * What is to be done about one failed attempt.
 * 'again': transient. 'unreachable': nobody answers there; soon given up while no answer ever came. 'refresh',
 * 'region', 'skew', 'checksums': something is learned, once, then asked again. 'final': the caller's to explain.
 */
export type Remedy = 'again' | 'unreachable' | 'refresh' | 'region' | 'skew' | 'checksums' | 'final'

export interface Failure {
  remedy: Remedy
  /** S3's error code, node's, or the transport's. */
  code: string
  status: number | undefined
  reason: string
  /** 429 or 503: fewer requests are asked for. */
  slowDown: boolean
  /** The request may have been carried out although no good answer came. */
  ambiguous: boolean
  retryAfterMs: number | undefined
  /** The bucket's region, where the answer tells. */
  region: string | undefined
}

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
])
const LOST = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ELONGSHOREPROXY',
])
/** Our own name for it, of the family that isTlsRefusal() knows. */
export const NO_TLS = 'ERR_TLS_NO_ANSWER'
const CROWDED = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'EADDRNOTAVAIL'])
const SLOW_DOWN =
  /^(SlowDown|TooManyRequests|Throttl|RequestLimitExceeded|BandwidthLimit|ServiceUnavailable|Reduce)/
const TRANSIENT =
  /^(InternalError|InternalServerError|RequestTimeout|RequestTimeoutException|IncompleteBody|OperationAborted|ConditionalRequestConflict|BadDigest|XAmzContentChecksumMismatch|XAmzContentSHA256Mismatch|BadGateway|GatewayTimeout)$/
const EXPIRED = /^(ExpiredToken|ExpiredTokenException|TokenRefreshRequired|RequestExpired)$/
const ELSEWHERE =
  /^(PermanentRedirect|TemporaryRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraintException)$/
const NO_CHECKSUMS = /checksum|trailer|x-amz-sdk|aws-chunked/i

/** Judges anything that an attempt threw. Pure. */
export function judge(error: unknown, now = Date.now()): Failure {
  const sdk = sdkError(error)
  const system = errorCode(error) ?? errorCode(causeOf(error))
  const failure: Failure = {
    remedy: 'final',
    code: sdk.code,
    status: sdk.status,
    reason: reasonOf(sdk),
    slowDown: false,
    ambiguous: false,
    retryAfterMs: retryAfterMs(sdk.headers['retry-after'], now),
    region: sdk.headers['x-amz-bucket-region'] ?? sdk.region,
  }
  if (error instanceof TransportError) return judgeTransport(error, failure)
  if (sdk.status === undefined)
    return judgeSystem(system, failure, isConnecting(error) || isConnecting(causeOf(error)))
  if (EXPIRED.test(sdk.code)) return { ...failure, remedy: 'refresh' }
  if (sdk.code === 'RequestTimeTooSkewed') return { ...failure, remedy: 'skew' }
  const redirected = ELSEWHERE.test(sdk.code) || sdk.status === 301 || sdk.status === 307
  if ((redirected || sdk.status === 400) && failure.region !== undefined)
    return { ...failure, remedy: 'region' }
  if (SLOW_DOWN.test(sdk.code) || sdk.status === 429 || sdk.status === 503) {
    return { ...failure, remedy: 'again', slowDown: true, ambiguous: sdk.status === 503 }
  }
  if ((sdk.status === 400 || sdk.status === 501) && refusesChecksums(sdk))
    return { ...failure, remedy: 'checksums' }
  const transient = TRANSIENT.test(sdk.code) || [408, 500, 502, 504].includes(sdk.status)
  return transient ? { ...failure, remedy: 'again', ambiguous: true } : failure
}

export const isTlsRefusal = (code: string): boolean =>
  /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|EPROTO|INVALID_CA|HOSTNAME_MISMATCH)/.test(
    code,
  )

function judgeTransport(error: TransportError, failure: Failure): Failure {
  const common = { ...failure, code: error.problem, status: error.status, reason: error.message }
  if (error.problem === 'timeout' || error.problem === 'short') {
    return { ...common, remedy: 'again', ambiguous: true }
  }
  // A gateway's own error page in HTML is as transient as its status says.
  const status = error.status ?? 0
  if (error.problem === 'foreign' && (status >= 500 || status === 429 || status === 408)) {
    return { ...common, remedy: 'again', ambiguous: true, slowDown: status === 503 || status === 429 }
  }
  // An answer that is no S3's has a status that means nothing to us: 404 is not 'no such object'.
  return { ...common, status: error.problem === 'foreign' ? undefined : common.status }
}

function judgeSystem(code: string | undefined, failure: Failure, connecting: boolean): Failure {
  const common = { ...failure, code: code ?? failure.code, reason: code ?? failure.reason }
  if (code === undefined) return common
  // The peer hung up on the TLS greeting: an http endpoint asked by https looks like this, and waiting mends nothing.
  if (code === 'ECONNRESET' && /before secure TLS connection/.test(failure.reason))
    return { ...common, code: NO_TLS, remedy: 'unreachable' }
  if (isTlsRefusal(code)) return common
  if (UNREACHABLE.has(code)) return { ...common, remedy: 'unreachable' }
  // No connection came about: nothing was asked, and a wrong endpoint behind a firewall looks like this.
  if (code === 'ETIMEDOUT' && connecting) return { ...common, remedy: 'unreachable' }
  if (CROWDED.has(code)) return { ...common, remedy: 'again' }
  if (LOST.has(code)) return { ...common, remedy: 'again', ambiguous: true }
  return common
}

interface SdkError {
  code: string
  message: string
  status: number | undefined
  headers: Record<string, string>
  region: string | undefined
}

function sdkError(error: unknown): SdkError {
  if (error instanceof Refusal) {
    const { status, message, retryAfter } = error
    const headers: Record<string, string> = retryAfter === undefined ? {} : { 'retry-after': retryAfter }
    return { code: error.code || 'Unknown', message, status, headers, region: undefined }
  }
  const fields: Record<string, unknown> = typeof error === 'object' && error !== null ? { ...error } : {}
  const metadata = asRecord(fields.$metadata)
  const response = asRecord(hidden(error, '$response'))
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(asRecord(response.headers))) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value
  }
  const status = metadata.httpStatusCode ?? response.statusCode
  const code = [fields.Code, error instanceof Error ? error.name : undefined].find(
    (c) => typeof c === 'string' && c !== '',
  )
  return {
    code: typeof code === 'string' ? code : 'Unknown',
    message: error instanceof Error ? error.message : String(error),
    status: typeof status === 'number' ? status : undefined,
    headers,
    region: typeof fields.Region === 'string' ? fields.Region : undefined,
  }
}

/** The SDK keeps the raw answer under a property that is not enumerable. */
function hidden(error: unknown, name: string): unknown {
  return typeof error === 'object' && error !== null ? Reflect.get(error, name) : undefined
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function isConnecting(error: unknown): boolean {
  if (error instanceof AggregateError) return error.errors.some(isConnecting)
  return asRecord(error).syscall === 'connect'
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}

function refusesChecksums(sdk: SdkError): boolean {
  return NO_CHECKSUMS.test(sdk.code) || NO_CHECKSUMS.test(sdk.message) || sdk.code === 'NotImplemented'
}

function reasonOf(sdk: SdkError): string {
  return sdk.status === undefined ? sdk.message : `${sdk.status} ${sdk.code}`
}
