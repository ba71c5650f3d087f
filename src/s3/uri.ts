import { isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LongshoreError } from '../errors.ts'

/** A place that holds objects. `prefix` always means a folder: '' or ending in '/'. `root` is absolute. */
export type Location = { kind: 's3'; bucket: string; prefix: string } | { kind: 'local'; root: string }

/** Longest key S3 takes, in bytes of UTF-8. */
const MAX_KEY_BYTES = 1024
/** Today's naming rule plus what older buckets in us-east-1 and compatibles may have: capitals and `_`. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/
const EXAMPLE = 'write s3://bucket/prefix/ or a local folder'

/**
 * `s3://bucket/prefix/`, `file:///folder` or a local path. A prefix without its last '/' still means the folder,
 * and so does `s3://b/p/*`: run-1 never matches run-10. Throws BAD_URI, naming the text.
 */
export function parseLocation(text: string, options: { cwd: string }): Location {
  if (text === '') throw badUri(text, 'a place is missing', EXAMPLE)
  if (text.includes('\0')) throw badUri(text, 'a NUL character can be in no path', EXAMPLE)
  const scheme = schemeOf(text)
  if (scheme === 's3') return parseFolder(text)
  if (scheme === 'file') return { kind: 'local', root: fromFileUrl(text) }
  if (scheme !== undefined) throw badUri(text, `${scheme}:// is not understood`, EXAMPLE)
  return { kind: 'local', root: resolve(options.cwd, text.replace(/\/\*$/, '/')) }
}

/** `s3://bucket/key`, one object. Throws BAD_URI. */
export function parseObject(text: string): { bucket: string; key: string } {
  if (schemeOf(text) !== 's3') throw badUri(text, 'an object in S3 is meant here', 'write s3://bucket/key')
  const { bucket, rest } = split(text)
  if (rest === '' || rest.endsWith('/')) {
    throw badUri(text, 'this names a folder, not an object', 'write s3://bucket/key')
  }
  return { bucket, key: rest }
}

function parseFolder(text: string): Location {
  const { bucket, rest } = split(text)
  const prefix = rest === '*' ? '' : rest.endsWith('/*') ? rest.slice(0, -1) : rest
  if (prefix.includes('*')) {
    throw badUri(
      text,
      'only a last /* is understood in a place',
      'choose objects with --include and --exclude',
    )
  }
  return { kind: 's3', bucket, prefix: prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/` }
}

function split(text: string): { bucket: string; rest: string } {
  const path = text.slice('s3://'.length)
  const slash = path.indexOf('/')
  const bucket = slash < 0 ? path : path.slice(0, slash)
  const rest = slash < 0 ? '' : path.slice(slash + 1)
  if (bucket === '') throw badUri(text, 'the bucket is missing', 'write s3://bucket/prefix/')
  if (!BUCKET.test(bucket) || bucket.includes('..')) {
    throw badUri(text, `"${bucket}" can't be a bucket's name`, 'write s3://bucket/prefix/')
  }
  if (Buffer.byteLength(rest) > MAX_KEY_BYTES) {
    throw badUri(text, `a key has at most ${MAX_KEY_BYTES} bytes`, 'shorten the prefix')
  }
  return { bucket, rest }
}

function schemeOf(text: string): string | undefined {
  return /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase()
}

function fromFileUrl(text: string): string {
  try {
    const path = fileURLToPath(text)
    if (isAbsolute(path)) return resolve(path)
  } catch (error) {
    throw badUri(text, 'not a file URL of this machine', 'write file:///folder or just the path', error)
  }
  throw badUri(text, 'not a file URL of this machine', 'write file:///folder or just the path')
}

function badUri(text: string, why: string, hint: string, cause?: unknown): LongshoreError {
  return new LongshoreError('BAD_URI', `${JSON.stringify(text)}: ${why}`, { path: text, hint, cause })
}
