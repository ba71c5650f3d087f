/** S3's error codes that this server answers with, and the HTTP status of each. */
const STATUS_OF = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  BadDigest: 400,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  ConditionalRequestConflict: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  ExpiredToken: 400,
  IncompleteBody: 400,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidObjectState: 403,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidToken: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedTrailerError: 400,
  MalformedXML: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  MissingSecurityHeader: 400,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchLifecycleConfiguration: 404,
  NoSuchUpload: 404,
  NotImplemented: 501,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  TooManyRequests: 429,
  XAmzContentSHA256Mismatch: 400,
} as const

export type S3Code = keyof typeof STATUS_OF

/** An answer that is an S3 error document. */
export class S3Failure extends Error {
  readonly code: string
  readonly status: number
  /** Further elements of the error document, such as Key or Condition. */
  readonly details: Record<string, string>
  readonly headers: Record<string, string>

  constructor(
    code: string,
    message: string,
    options: { status?: number; details?: Record<string, string>; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.name = 'S3Failure'
    this.code = code
    this.status = options.status ?? (STATUS_OF as Record<string, number>)[code] ?? 400
    this.details = options.details ?? {}
    this.headers = options.headers ?? {}
  }
}

export function s3Failure(code: S3Code, message: string, details: Record<string, string> = {}): S3Failure {
  return new S3Failure(code, message, { details })
}
