import { type ErrorCode, LongshoreError } from '../errors.ts'
import { type Failure, isTlsRefusal, NO_TLS } from './failure.ts'

export interface Subject {
  /** What was asked: 'GET', 'LIST' … */
  kind: string
  /** `s3://bucket/key` */
  url: string
  bucket: string
  /** `https://host:port`, as asked for, or undefined on AWS. */
  endpoint: string | undefined
}

/** A failure that nothing more is done about, as the one line that names the thing and the mend. */
export function explain(error: unknown, failure: Failure, subject: Subject): LongshoreError {
  const { url, bucket } = subject
  const server = subject.endpoint ?? 'Amazon S3'
  const make = (code: ErrorCode, message: string, hint: string, path = url) =>
    new LongshoreError(code, message, { path, hint, cause: error })
  const { code, status, reason } = failure
  if (/^(CredentialsProviderError|ProviderError|TokenProviderError)$/.test(code)) {
    return make(
      'NO_CREDENTIALS',
      `no credentials for ${server}: ${oneLine(error)}`,
      'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, choose --profile, or --no-sign-request',
    )
  }
  if (
    /^(InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|InvalidClientTokenId|UnrecognizedClientException|ExpiredToken.*|TokenRefreshRequired|RequestExpired|AuthorizationHeaderMalformed|NotSignedUp)$/.test(
      code,
    )
  ) {
    return make(
      'BAD_CREDENTIALS',
      `${server} refuses the credentials: ${code}`,
      code.startsWith('Expired')
        ? 'renew the session, then run again'
        : 'check the access key, its secret and --region',
    )
  }
  if (code === 'RequestTimeTooSkewed') {
    return make(
      'BAD_CREDENTIALS',
      `${server} refuses the request: this machine's clock is wrong`,
      'set the clock (chrony, ntpd)',
    )
  }
  if (code === 'NoSuchBucket' || code === 'InvalidBucketName') {
    return make(
      'NO_BUCKET',
      `${bucket}: no such bucket at ${server}`,
      'check the name, --endpoint-url and --region',
      `s3://${bucket}`,
    )
  }
  if (failure.remedy === 'region' || status === 301 || status === 307) {
    return make(
      'NO_BUCKET',
      `${bucket}: the bucket is in ${failure.region ?? 'another region'}`,
      `use --region ${failure.region ?? 'with its region'}`,
      `s3://${bucket}`,
    )
  }
  if (code === 'InvalidObjectState') {
    return make(
      'ARCHIVED',
      `${url}: archived, it can't be read now`,
      'restore it from its archive class first',
    )
  }
  if (status === 404 && code === 'NoSuchUpload') {
    return make('NOT_FOUND', `${url}: the upload is no longer there`, 'run again: it is begun anew')
  }
  if (status === 404) return make('NOT_FOUND', `${url}: no such object`, 'check the name')
  if (status === 412 || code === 'PreconditionFailed' || status === 416 || code === 'changed') {
    return make(
      'SOURCE_CHANGED',
      `${url}: changed since it was listed (${status === 412 ? 'another ETag' : reason})`,
      'run again when nothing writes to it',
    )
  }
  if (code === 'large') {
    return make(
      'INTEGRITY',
      `${url}: ${reason} where a small document is expected`,
      'this is not a file that longshore wrote; look at what put it there',
    )
  }
  if (code === 'foreign') {
    return make(
      'UNREACHABLE',
      `${server} ${reason}: this is not S3`,
      'check --endpoint-url: its scheme, host and port',
    )
  }
  if (status === 403) {
    return make(
      'ACCESS_DENIED',
      `${url}: ${subject.kind} is not allowed (${code})`,
      'check the policy of the bucket and of the user',
    )
  }
  if (failure.slowDown) {
    return make(
      'THROTTLED',
      `${url}: the server still asks to slow down (${reason})`,
      'lower --concurrency, or run again later',
    )
  }
  if (isTlsRefusal(code)) return explainTls(code, server, make)
  if (failure.remedy === 'unreachable') {
    return make(
      'UNREACHABLE',
      `${server} can't be reached: ${code}`,
      'check --endpoint-url, the network and the proxy variables',
    )
  }
  if (code === 'timeout') return make('TIMEOUT', `${url}: ${reason}`, 'check the network, then run again')
  if (code.startsWith('HPE_')) {
    return make(
      'UNREACHABLE',
      `${server} does not speak HTTP (${code})`,
      'check --endpoint-url: its scheme and port',
    )
  }
  if (code === 'ELONGSHOREPROXY')
    return make('UNREACHABLE', oneLine(error), 'check HTTPS_PROXY, HTTP_PROXY and NO_PROXY')
  const why = status === undefined ? oneLine(error) : `${reason}: ${oneLine(error)}`
  return make(
    'SERVER',
    `${url}: ${subject.kind} failed: ${why}`,
    'run again; if it stays, ask who runs the server',
  )
}

function explainTls(
  code: string,
  server: string,
  make: (code: ErrorCode, message: string, hint: string) => LongshoreError,
): LongshoreError {
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return make(
      'TLS_REFUSED',
      `${server} speaks no TLS that is understood (${code})`,
      'is it an http:// endpoint?',
    )
  }
  if (code === NO_TLS)
    return make('TLS_REFUSED', `${server} hangs up when asked for TLS`, 'is it an http:// endpoint?')
  const what =
    code === 'ERR_TLS_CERT_ALTNAME_INVALID'
      ? 'its certificate is for another name'
      : 'its certificate is not trusted'
  return make('TLS_REFUSED', `${server}: ${what} (${code})`, 'give its authority with --ca-bundle FILE')
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/\s+/g, ' ').slice(0, 300)
}
