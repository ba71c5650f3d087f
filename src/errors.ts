/** Exit statuses; the table users read is in docs/errors.md. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  incomplete: 3,
  integrity: 4,
  space: 5,
  locked: 6,
  pending: 75,
  sigint: 130,
  killed: 137,
  sigterm: 143,
} as const

export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/** Every error code a user can meet, with the exit status it leads to. Codes are stable: scripts match them. */
const STATUS_OF = {
  USAGE: EXIT.usage,
  BAD_URI: EXIT.usage,
  BAD_CONFIG: EXIT.usage,
  NO_CREDENTIALS: EXIT.usage,
  BAD_CREDENTIALS: EXIT.usage,
  NO_BUCKET: EXIT.usage,
  TLS_REFUSED: EXIT.usage,
  SPLIT_NEEDED: EXIT.usage,
  DEST_INSIDE_SOURCE: EXIT.usage,
  DEST_HOLDS_OTHER: EXIT.usage,
  LINT: EXIT.usage,
  KEY_CONFLICT: EXIT.usage,
  UNSUPPORTED: EXIT.usage,
  CONDITIONAL_WRITES: EXIT.usage,
  UNREACHABLE: EXIT.failed,
  TIMEOUT: EXIT.failed,
  ACCESS_DENIED: EXIT.failed,
  NOT_FOUND: EXIT.failed,
  SERVER: EXIT.failed,
  THROTTLED: EXIT.failed,
  LOCAL_IO: EXIT.failed,
  SOURCE_CHANGED: EXIT.failed,
  ARCHIVED: EXIT.failed,
  DIFFERS: EXIT.failed,
  INTERNAL: EXIT.failed,
  INCOMPLETE: EXIT.incomplete,
  NOTHING_TO_RESTORE: EXIT.incomplete,
  OFFLINE_MISSING: EXIT.incomplete,
  INTEGRITY: EXIT.integrity,
  BAD_MANIFEST: EXIT.integrity,
  NO_SPACE: EXIT.space,
  OVER_LIMIT: EXIT.space,
  LOCKED: EXIT.locked,
  SUPERSEDED: EXIT.locked,
  NOT_DRAINED: EXIT.pending,
  STUCK: EXIT.killed,
  INTERRUPTED: EXIT.sigint,
  TERMINATED: EXIT.sigterm,
} as const satisfies Record<string, ExitStatus>

export type ErrorCode = keyof typeof STATUS_OF

export interface ErrorDetails {
  /** The thing it is about: a path, a key, a URL. */
  path?: string
  /** One sentence: what the user does next. */
  hint?: string
  cause?: unknown
}

/** The one error class: a stable code, the thing it is about, and the mend. Anything else that is thrown is a bug. */
export class LongshoreError extends Error {
  readonly code: ErrorCode
  readonly path: string | undefined
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'LongshoreError'
    this.code = code
    this.path = details.path
    this.hint = details.hint
  }

  get exit(): ExitStatus {
    return STATUS_OF[this.code]
  }
}

export function isLongshoreError(error: unknown, code?: ErrorCode): error is LongshoreError {
  return error instanceof LongshoreError && (code === undefined || error.code === code)
}
