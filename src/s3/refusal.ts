/** A server's answer that is no success, as the wire lane reads it. src/s3/failure.ts judges it like the SDK's errors. */
export class Refusal extends Error {
  readonly status: number
  /** S3's own: 'SlowDown', 'ExpiredToken'; '' where the answer names none */
  readonly code: string
  /** The header, as it came. */
  readonly retryAfter: string | undefined

  constructor(
    status: number,
    code: string,
    details: { message?: string; retryAfter?: string | undefined } = {},
  ) {
    super(details.message ?? `the server answered ${status}`)
    this.name = 'Refusal'
    this.status = status
    this.code = code
    this.retryAfter = details.retryAfter
  }
}
