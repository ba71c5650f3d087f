import type { SendOptions } from './send.ts'

/** Of the SDK's signed requests: src/s3/handler.ts sees nothing else of a command. */
const BY_REQUEST = new WeakMap<object, SendOptions>()

export function carryOptions(request: object, options: SendOptions): void {
  BY_REQUEST.set(request, options)
}

/** What the request of a GET was sent with. */
export function carriedOptions(request: object): SendOptions | undefined {
  return BY_REQUEST.get(request)
}
