import { type Call, header } from './call.ts'
import { s3Failure } from './failure.ts'
import type { StoredObject } from './storage.ts'

/**
 * Conditions on reading (RFC 9110, 13.2.2; S3: a true If-Match outweighs If-Unmodified-Since, a false
 * If-None-Match outweighs If-Modified-Since). False: the answer is 304. With `prefix` those of a copy's source.
 */
export function readConditions(call: Call, object: StoredObject, prefix = ''): boolean {
  if (call.effects.ignoreConditions) return true
  const ifMatch = header(call, `${prefix}if-match`)
  const ifNoneMatch = header(call, `${prefix}if-none-match`)
  const unmodified = header(call, `${prefix}if-unmodified-since`)
  const modified = header(call, `${prefix}if-modified-since`)
  if (ifMatch !== undefined && !tagIn(ifMatch, object.etag)) throw preconditionFailed('If-Match')
  if (ifMatch === undefined && unmodified !== undefined && object.modified > Date.parse(unmodified))
    throw preconditionFailed('If-Unmodified-Since')
  if (ifNoneMatch !== undefined) return !tagIn(ifNoneMatch, object.etag)
  return !(modified !== undefined && object.modified <= Date.parse(modified))
}

/** Conditions on writing: `If-None-Match: *` and `If-Match: <etag>`, of PutObject, CopyObject and Complete. */
export function writeConditions(call: Call, existing: StoredObject | undefined): void {
  if (call.effects.ignoreConditions) return
  const ifMatch = header(call, 'if-match')
  const ifNoneMatch = header(call, 'if-none-match')
  if (ifNoneMatch !== undefined && ifNoneMatch.trim() !== '*')
    throw s3Failure('NotImplemented', 'A header you provided implies functionality that is not implemented', {
      Header: 'If-None-Match',
    })
  if (ifNoneMatch !== undefined && existing !== undefined) throw preconditionFailed('If-None-Match')
  if (ifMatch === undefined) return
  if (existing === undefined)
    throw s3Failure('NoSuchKey', 'The specified key does not exist.', { Key: call.route.key })
  if (!tagIn(ifMatch, existing.etag)) throw preconditionFailed('If-Match')
}

export function preconditionFailed(condition: string): Error {
  return s3Failure('PreconditionFailed', 'At least one of the pre-conditions you specified did not hold', {
    Condition: condition,
  })
}

function tagIn(list: string, etag: string): boolean {
  return list.split(',').some((tag) => tag.trim() === '*' || unquoted(tag) === unquoted(etag))
}

function unquoted(tag: string): string {
  return tag.trim().replace(/^W\//, '').replaceAll('"', '')
}
