import { LongshoreError } from '../../errors.ts'
import { newServerState, withAttempts } from '../attempts.ts'
import { damaged } from '../damaged.ts'
import type { CallOptions } from '../store.ts'
import type { Resolve } from './addresses.ts'
import { checkGot, isWhole, sendGet } from './get.ts'
import { openPool, type Pool } from './pool.ts'
import { sendPut } from './put.ts'
import { openSigner, type Signer } from './sign.ts'
import { HandOver, type WireStore, type WireTarget } from './types.ts'

/**
 * The fast lane to one bucket. Throws HandOver for a target that can't be said in a request. `resolve`: another way
 * from the host's name to its addresses.
 */
export function openWire(target: WireTarget, options: { resolve?: Resolve | undefined } = {}): WireStore {
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

  return {
    url,

    async getInto(request, into, call = {}) {
      const { key, etag } = request
      if (into.length === 0 && !isWhole(request, into)) return { etag, check: 'size' }
      for (let again = false; ; again = true) {
        const answer = await withAttempts(attempts('GET', key, call), () => sendGet(to, request, into, call))
        const got = checkGot(answer, request, into)
        if (got !== undefined) return got
        if (again) throw damaged(`${url}/${key}`)
        call.onRetry?.({ reason: 'GET: the checksum does not match', slowDown: false })
      }
    },

    async getThrough(request, window, call = {}) {
      const { key } = request
      if (isWhole(request, window)) throw new HandOver('a whole object through a window')
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
