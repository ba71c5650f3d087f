import { LongshoreError } from '../errors.ts'

export interface ErrorReport {
  code: string
  message: string
  hint?: string | undefined
  path?: string | undefined
  exit: number
  stack?: string | undefined
}

/** Whatever was thrown, as the one shape that people and scripts see. */
export function reportError(error: unknown, signal?: AbortSignal): ErrorReport {
  // Once a signal ended the work, the error that surfaces may be any echo of it.
  const cause = signal?.aborted && !(error instanceof LongshoreError) ? (signal.reason as unknown) : error
  if (cause instanceof LongshoreError) {
    const inner = cause.cause instanceof Error ? cause.cause.stack : undefined
    return {
      code: cause.code,
      message: oneLine(cause.message),
      hint: cause.hint === undefined ? undefined : oneLine(cause.hint),
      path: cause.path,
      exit: cause.exit,
      stack: inner === undefined ? undefined : `caused by ${inner}`,
    }
  }
  const unknown = cause instanceof Error ? cause : new Error(String(cause))
  return {
    code: 'INTERNAL',
    message: oneLine(unknown.message || unknown.name),
    hint: 'this is a bug in longshore: please report it with the output of the same command and -v',
    exit: 1,
    stack: unknown.stack,
  }
}

/** `CODE: message (path) — hint`, in one line. */
export function errorText({ code, message, path, hint }: ErrorReport): string {
  const about = path === undefined || message.includes(path) ? '' : ` (${path})`
  return `${code}: ${message}${about}${hint === undefined ? '' : ` — ${hint}`}`
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim()
}
