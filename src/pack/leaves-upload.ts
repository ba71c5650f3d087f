import { type ErrorCode, isLongshoreError } from '../errors.ts'

/** The run was cut off; what it had done is right, and the same command goes on with it. */
const CUT_OFF: ReadonlySet<ErrorCode> = new Set([
  'INTERRUPTED',
  'TERMINATED',
  'UNREACHABLE',
  'TIMEOUT',
  'THROTTLED',
  'STUCK',
  'BAD_CREDENTIALS',
  'NO_CREDENTIALS',
])

/**
 * Whether an upload stays open after a failure, for the next run to continue. Not when the plan can't be carried out
 * as it is (a changed source, another object in the way), nor when the disk of DST is full. A server's own failure
 * may lie in that very upload: it stays only if this run brought it further, so reruns can't go round in circles.
 */
export function leavesUpload(error: unknown, { grew }: { grew: boolean }): boolean {
  if (!isLongshoreError(error)) return false
  return CUT_OFF.has(error.code) || (error.code === 'SERVER' && grew)
}
