import type { PutObjectCommandInput } from '@aws-sdk/client-s3'
import { crc32, crcBase64 } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import type { Failure } from './failure.ts'
import { commonInput, writeInput } from './input.ts'
import { getS3, headS3 } from './s3-read.ts'
import { DeleteObjectCommand, DeleteObjectsCommand, PutObjectCommand } from './sdk.ts'
import type { Call, Session } from './send.ts'
import type { CallOptions, PutRequest, WriteOutcome } from './store.ts'

/** S3's own limit of one DeleteObjects. */
const DELETE_BATCH = 1000
/** Rounds for the keys of a batch that the server could not delete for a reason of its own. */
const DELETE_ROUNDS = 4
/** Size of the pieces that a taken key is compared by. */
const COMPARE_BYTES = 1024 * 1024
export async function putS3(
  session: Session,
  request: PutRequest,
  options: CallOptions = {},
): Promise<WriteOutcome> {
  const { key, body, condition, metadata } = request
  const input: PutObjectCommandInput = {
    ...writeInput(session),
    Key: key,
    Body: body,
    ContentLength: body.length,
    ChecksumCRC32: crcBase64(request.crc32 ?? crc32(body)),
    ...(metadata === undefined ? {} : { Metadata: metadata }),
    ...conditionInput(condition),
  }
  let final: Failure | undefined
  const onFinal = (failure: Failure) => {
    final = failure
  }
  const call: Call = { ...options, kind: 'PUT', key, onFinal }
  try {
    const written = await session.send(call, async (client, send) => {
      // Some servers answer a refused large PUT by a reset: look before sending all of it again.
      if (call.ambiguous && condition === 'absent') {
        const outcome = await outcomeAt(session, request, options)
        if (outcome !== undefined) return outcome
      }
      const { ETag } = await client.send(new PutObjectCommand(input), send)
      return { status: 'written' as const, etag: ETag ?? '' }
    })
    return written
  } catch (error) {
    if (condition === undefined || final?.status !== 412) throw error
    // Only after a lost answer can the object there be our own.
    if (!call.ambiguous) return { status: 'exists' }
    return (await outcomeAt(session, request, options)) ?? { status: 'exists' }
  }
}

export async function removeS3(
  session: Session,
  keys: readonly string[],
  options: CallOptions = {},
): Promise<void> {
  for (let at = 0; at < keys.length; at += DELETE_BATCH) {
    let left: readonly string[] = keys.slice(at, at + DELETE_BATCH)
    for (let round = 1; left.length > 0; round++) {
      const { failed, code } = await removeBatch(session, left, options)
      const first = failed[0]
      if (first === undefined) break
      const transient = /^(InternalError|SlowDown|ServiceUnavailable|OperationAborted|RequestTimeout)/.test(
        code,
      )
      if (!transient || round >= DELETE_ROUNDS) throw notDeleted(session, first, failed.length, code)
      options.onRetry?.({ reason: `DELETE: ${code}`, slowDown: code === 'SlowDown' })
      left = failed
    }
  }
}

async function removeBatch(
  session: Session,
  keys: readonly string[],
  options: CallOptions,
): Promise<{ failed: string[]; code: string }> {
  let final: Failure | undefined
  const onFinal = (failure: Failure) => {
    final = failure
  }
  const call: Call = { ...options, kind: 'DELETE', key: keys[0] ?? '', onFinal }
  try {
    const Delete = { Quiet: true, Objects: keys.map((Key) => ({ Key })) }
    const answer = await session.send(call, (client, send) =>
      client.send(new DeleteObjectsCommand({ ...commonInput(session), Delete }), send),
    )
    const errors = (answer.Errors ?? []).filter((e) => e.Code !== 'NoSuchKey' && e.Code !== 'NoSuchVersion')
    return { failed: errors.map((e) => e.Key ?? keys[0] ?? ''), code: errors[0]?.Code ?? '' }
  } catch (error) {
    // Not every compatible store has the batch form.
    if (final?.status !== 501 && final?.status !== 405) throw error
  }
  for (const Key of keys) {
    await session.send({ ...options, kind: 'DELETE', key: Key }, (client, send) =>
      client.send(new DeleteObjectCommand({ ...commonInput(session), Key }), send),
    )
  }
  return { failed: [], code: '' }
}

/** What a lost answer must have been: ours if the very bytes are there, someone else's if others are. */
async function outcomeAt(
  session: Session,
  request: PutRequest,
  options: CallOptions,
): Promise<WriteOutcome | undefined> {
  const { key, body } = request
  const info = await headS3(session, key, options)
  if (info === undefined) return undefined
  if (info.size !== body.length) return { status: 'exists' }
  const theirs = Buffer.allocUnsafe(Math.min(COMPARE_BYTES, body.length))
  for (let at = 0; at < body.length; at += COMPARE_BYTES) {
    const mine = body.subarray(at, at + COMPARE_BYTES)
    const into = theirs.subarray(0, mine.length)
    await getS3(session, { key, offset: at, size: info.size, etag: info.etag }, into, options)
    if (Buffer.compare(into, mine) !== 0) return { status: 'exists' }
  }
  return { status: 'written', etag: info.etag }
}

function conditionInput(condition: PutRequest['condition']): { IfNoneMatch?: string; IfMatch?: string } {
  if (condition === undefined) return {}
  return condition === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: condition.etag }
}

function notDeleted(session: Session, key: string, count: number, code: string): LongshoreError {
  const path = `${session.url}/${key}`
  const more = count > 1 ? ` (and ${count - 1} more)` : ''
  const kind = code === 'AccessDenied' ? 'ACCESS_DENIED' : 'SERVER'
  return new LongshoreError(kind, `${path}${more}: not deleted (${code})`, {
    path,
    hint: kind === 'ACCESS_DENIED' ? 'allow s3:DeleteObject there' : 'run again',
  })
}
