import { TransportError } from '../transport-error.ts'

/** The server ended the connection: within an answer, or before it. */
export function hungUp(within: boolean): Error {
  if (within) return new TransportError('short', 'the connection broke in the body')
  return Object.assign(new Error('the server ended the connection'), { code: 'ECONNRESET' })
}

/** As node says it when the kernel gave up, which takes minutes. */
export function noConnection(ms: number): Error {
  return Object.assign(new Error(`no connection in ${ms / 1000} s`), {
    code: 'ETIMEDOUT',
    syscall: 'connect',
  })
}

/** The connection broke, whoever noticed it. */
export function isLost(reason: unknown): reason is Error {
  return reason instanceof Error && /^(ECONNRESET|EPIPE)$/.test(String(Reflect.get(reason, 'code')))
}
