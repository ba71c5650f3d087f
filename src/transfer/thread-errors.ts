import { type ErrorCode, LongshoreError } from '../errors.ts'

/** An error as plain data, to cross between threads. */
export interface PlainError {
  code: ErrorCode
  message: string
  path: string | undefined
  hint: string | undefined
  /** What caused it, as text. */
  cause: string | undefined
}

export function plainError(error: unknown): PlainError {
  if (error instanceof LongshoreError) {
    const { code, message, path, hint, cause } = error
    return { code, message, path, hint, cause: cause === undefined ? undefined : textOf(cause) }
  }
  return { code: 'INTERNAL', message: textOf(error), path: undefined, hint: undefined, cause: undefined }
}

export function fromPlain({ code, message, path, hint, cause }: PlainError): LongshoreError {
  return new LongshoreError(code, message, {
    ...(path === undefined ? {} : { path }),
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause: new Error(cause) }),
  })
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
