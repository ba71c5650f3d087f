import { crcBase64 } from '../../checksum/crc32.ts'
import type { CallOptions, PartRequest } from '../store.ts'
import { type Answer, Exchange } from './exchange.ts'
import type { Head } from './head.ts'
import type { Pool } from './pool.ts'
import type { Signer } from './sign.ts'
import { HandOver } from './types.ts'
import { unwanted } from './unwanted.ts'

const NOTHING = new Uint8Array(0)

/** One attempt: a part of an open upload. */
export function sendPut(
  to: { pool: Pool; signer: Signer },
  request: PartRequest,
  call: CallOptions,
): Promise<Answer> {
  const { key, uploadId, partNumber, body, crc32 } = request
  const head = to.signer.put({ key, uploadId, partNumber, body, crc32 })
  const judge = (answer: Head) => judgePut(answer, crc32)
  return new Promise((resolve, reject) => {
    to.pool.run(
      new Exchange(
        { head, body, length: 0, into: NOTHING, window: undefined, sum: false, light: false, judge, call },
        resolve,
        reject,
      ),
    )
  })
}

function judgePut(head: Head, crc32: number): Error | undefined {
  if (head.status !== 200) return unwanted(head)
  if (head.chunked) return new HandOver('chunked')
  if (head.length === undefined) return new HandOver('no length')
  if (head.length > 0) return new HandOver('a body after a part')
  if (head.etag === '') return new HandOver('no ETag')
  const { ChecksumCRC32: kept } = head.sums
  if (kept !== undefined && kept !== crcBase64(crc32)) return new HandOver('another checksum')
  return undefined
}
