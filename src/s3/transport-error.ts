/**
 * What went wrong below S3's own errors. 'changed': the head already says that these are not the bytes that were
 * asked for. 'large': a document over its limit. 'foreign': an answer, but not one of S3.
 */
export type TransportProblem = 'timeout' | 'short' | 'changed' | 'large' | 'foreign' | 'unranged'

export class TransportError extends Error {
  readonly problem: TransportProblem
  /** HTTP status, where there was an answer. */
  readonly status: number | undefined

  constructor(
    problem: TransportProblem,
    message: string,
    options: { status?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'TransportError'
    this.problem = problem
    this.status = options.status
  }
}
