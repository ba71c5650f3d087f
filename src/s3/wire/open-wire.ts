import { LongshoreError } from '../../errors.ts'
import { answeredWell, newServerState, withAttempts } from '../attempts.ts'
import { damaged } from '../damaged.ts'
import type { CallOptions, GetRequest, GotBytes } from '../store.ts'
import type { Answer } from './exchange.ts'
import { checkGot, isLight, isWhole, sendGet, startGet } from './get.ts'
import { openPool, type Pool, type PoolOptions } from './pool.ts'
import { sendPut } from './put.ts'
import { openSigner, type Signer } from './sign.ts'
import type { WireStore, WireTarget } from './types.ts'

/**
 * The fast lane to one bucket. Throws HandOver for a target that can't be said in a request.
 */
export function openWire(target: WireTarget, options: PoolOptions = {}): WireStore {
  const { url, bucket } = target
  let now = target
  const to: { pool: Pool; signer: Signer } = { pool: openPool(target, options), signer: openSigner(target) }
  const state = newServerState()
  const old = new Set<Pool>()
  // Field by field: a spread costs as much as the signature.
  const attempts = (kind: string, key: string, { signal, onRequest, onRetry }: CallOptions) => ({
    call: { kind, key, signal, onRequest, onRetry },
    subject: { kind, url: `${url}/${key}`, bucket, endpoint: now.endpoint },
    settings: now,
    state,
    handOver: true,
  })

  /** `first`: what the first attempt came to, which was made before. */
  const getInto = async (
    request: GetRequest,
    into: Uint8Array,
    call: CallOptions,
    first?: () => Promise<Answer>,
  ): Promise<GotBytes> => {
    const { key, etag } = request
    // Empty by then, when its memory was taken away under the first attempt: that is no success.
    if (first === undefined && into.length === 0 && !isWhole(request, into)) return { etag, check: 'size' }
    let made = first
    const attempt = () => {
      const before = made
      made = undefined
      return before?.() ?? sendGet(to, request, into, call)
    }
    for (let again = false; ; again = true) {
      const options = attempts('GET', key, call)
      const answer = await withAttempts(made === undefined ? options : { ...options, begun: true }, attempt)
      const got = checkGot(answer, request, into)
      if (got !== undefined) return got
      if (again) throw damaged(`${url}/${key}`)
      call.onRetry?.({ reason: 'GET: the checksum does not match', slowDown: false })
    }
  }

  return {
    url,

    getInto: (request, into, call = {}) => getInto(request, into, call),

    beginGet(request, into, call, begun) {
      const goOn = (first?: () => Promise<Answer>) => begun.trouble(() => getInto(request, into, call, first))
      if (into.length === 0 || call.signal?.aborted) return goOn()
      let over = false
      const resolve = (answer: Answer) => {
        over = true
        let got: GotBytes | undefined
        try {
          got = checkGot(answer, request, into)
        } catch {
          // It will be thrown again where someone awaits it.
        }
        if (got === undefined) return goOn(async () => answer)
        answeredWell(state)
        begun.done(got)
      }
      const reject = (error: unknown) => {
        if (!over) goOn(() => Promise.reject(error))
        over = true
      }
      call.onRequest?.('GET')
      try {
        startGet(to, request, into, { call, resolve, reject, first: true })
      } catch (error) {
        reject(error)
      }
    },

    asksAhead: (etag, length) => to.pool.asksAhead && isLight(etag, length),

    async getThrough(request, window, call = {}) {
      const { key } = request
      const answer = await withAttempts(attempts('GET', key, call), () => sendGet(to, request, window, call))
      return { etag: answer.head.etag, check: 'size' }
    },

    async putPart(request, call = {}) {
      const { key, partNumber, body, crc32 } = request
      const { head } = await withAttempts(attempts('PART', key, call), () => sendPut(to, request, call))
      return { partNumber, etag: head.etag, size: body.length, crc32 }
    },

    update(changed) {
      to.signer = openSigner(changed)
      if (!sameServer(now, changed)) {
        to.pool.retire()
        old.add(to.pool)
        to.pool = openPool(changed, options)
      }
      now = changed
    },

    close() {
      const reason = new LongshoreError('INTERNAL', `${url}: closed while it was in use`, { path: url })
      for (const pool of [...old, to.pool]) pool.close(reason)
    },
  }
}

/** May its connections be used for the other? */
function sameServer(a: WireTarget, b: WireTarget): boolean {
  return (
    a.secure === b.secure &&
    a.host === b.host &&
    a.port === b.port &&
    a.rejectUnauthorized === b.rejectUnauthorized &&
    a.timeoutMs === b.timeoutMs &&
    (a.ca === b.ca || (a.ca?.length === b.ca?.length && a.ca?.every((pem, i) => pem === b.ca?.[i])) === true)
  )
}
