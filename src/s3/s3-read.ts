import { LongshoreError } from '../errors.ts'
import { damaged } from './damaged.ts'
import { bareEtag } from './etag.ts'
import type { Failure } from './failure.ts'
import { sendGet } from './get-command.ts'
import { commonInput } from './input.ts'
import type { Sink } from './receive.ts'
import { GetObjectCommand, HeadObjectCommand } from './sdk.ts'
import type { Session } from './send.ts'
import type { CallOptions, GetRequest, GotBytes, ObjectInfo } from './store.ts'
import { checksumsOf, verifyBytes } from './verify.ts'

export async function headS3(
  session: Session,
  key: string,
  options: CallOptions = {},
): Promise<ObjectInfo | undefined> {
  let final: Failure | undefined
  const onFinal = (failure: Failure) => {
    final = failure
  }
  try {
    const found = await session.send({ ...options, kind: 'HEAD', key, onFinal }, (client, send) =>
      client.send(
        new HeadObjectCommand({
          ...commonInput(session),
          Key: key,
          ...(session.learned.noChecksums ? {} : { ChecksumMode: 'ENABLED' }),
        }),
        send,
      ),
    )
    if (!isSize(found.ContentLength)) throw badAnswer(session, key, 'no size')
    return {
      key,
      size: found.ContentLength,
      etag: found.ETag ?? '',
      modified: found.LastModified?.getTime() ?? 0,
      storageClass: found.StorageClass,
      versionId: found.VersionId,
      contentEncoding: found.ContentEncoding,
      metadata: found.Metadata ?? {},
      checksums: checksumsOf(found),
    }
  } catch (error) {
    if (final?.status === 404) return undefined
    // HEAD's refusals have no body: the same question as GET says what is wrong.
    if (final?.status === 400 || final?.status === 403) await askWhy(session, key, options)
    throw error
  }
}

async function askWhy(session: Session, key: string, options: CallOptions): Promise<void> {
  const input = { ...commonInput(session), Key: key, Range: 'bytes=0-0' }
  const sink: Sink = { maxBytes: 1 }
  await session.send({ ...options, kind: 'HEAD', key }, (c, s) => c.send(new GetObjectCommand(input), s), {
    sink,
  })
}

/** Fills `into`; bytes that fail the server's own checksum are asked for once more, then INTEGRITY. */
export async function getS3(
  session: Session,
  request: GetRequest,
  into: Uint8Array,
  options: CallOptions = {},
): Promise<GotBytes> {
  const { key, offset, size, etag, versionId } = request
  const whole = offset === 0 && into.length === size
  if (into.length === 0 && !whole) return { etag, check: 'size' }
  const sink: Sink = whole ? { into } : { into, range: { offset, size } }
  const input = {
    ...commonInput(session),
    Key: key,
    ...(whole ? {} : { Range: `bytes=${offset}-${offset + into.length - 1}` }),
    ...(etag === '' ? {} : { IfMatch: etag }),
    ...(versionId === undefined ? {} : { VersionId: versionId }),
  }
  for (let again = false; ; again = true) {
    const call = { ...options, kind: 'GET', key }
    const got = await session.send(call, (client, send) => sendGet(client, input, send), { sink })
    if (etag !== '' && !got.ETag) throw badAnswer(session, key, 'no ETag: is it what was listed?')
    if (etag !== '' && bareEtag(got.ETag ?? '') !== bareEtag(etag)) throw changed(session, key)
    const check = whole ? verifyBytes(into, checksumsOf(got)) : 'size'
    if (check !== undefined) return { etag: got.ETag ?? '', check }
    if (again) throw damaged(`${session.url}/${key}`)
    options.onRetry?.({ reason: 'GET: the checksum does not match', slowDown: false })
  }
}

function isSize(size: number | undefined): size is number {
  return size !== undefined && Number.isSafeInteger(size) && size >= 0
}

function changed(session: Session, key: string): LongshoreError {
  const path = `${session.url}/${key}`
  const hint = 'run again when nothing writes to it'
  return new LongshoreError('SOURCE_CHANGED', `${path}: changed since it was listed (another ETag)`, {
    path,
    hint,
  })
}

function badAnswer(session: Session, key: string, why: string): LongshoreError {
  const path = `${session.url}/${key}`
  return new LongshoreError('SERVER', `${path}: the answer has ${why}`, {
    path,
    hint: 'is this an S3 server?',
  })
}
