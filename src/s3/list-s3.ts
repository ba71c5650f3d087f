import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { LongshoreError } from '../errors.ts'
import { watchCircle } from './circle.ts'
import { commonInput } from './input.ts'
import { type ParsedPage, parseListPage } from './list-page.ts'
import { listParallel } from './list-parallel.ts'
import { ownText, ownTexts } from './own-text.ts'
import type { Sink } from './receive.ts'
import type { Session } from './send.ts'
import type { CallOptions, ListedObject, ListOptions, ListPage } from './store.ts'

/** One request of a listing. */
export interface PageRequest extends CallOptions {
  prefix: string
  delimiter?: '/' | undefined
  startAfter?: string | undefined
  token?: string | undefined
  maxKeys?: number | undefined
}

export interface FetchedPage extends ListPage {
  /** The token of the page after it; undefined: this is the last. */
  next: string | undefined
}

/** The pages of a listing; with `anyOrder` several requests are on their way at once. */
export function listS3(session: Session, options: ListOptions): AsyncGenerator<ListPage, void, undefined> {
  const { anyOrder, ...list } = options
  if (!anyOrder || list.delimiter !== undefined || list.startAfter !== undefined) return inTurn(session, list)
  return listParallel((request) => fetchPage(session, request), {
    ...list,
    ordered: isOrdered(session),
    refuse: (why) => badListing(session, list.prefix, why),
  })
}

async function* inTurn(session: Session, options: PageRequest): AsyncGenerator<ListPage, void, undefined> {
  let token: string | undefined
  const circle = watchCircle()
  do {
    const { objects, folders, next } = await fetchPage(session, { ...options, token })
    if (circle(next, objects[0]?.key ?? folders[0]))
      throw badListing(session, options.prefix, 'its pages come again and again')
    yield { objects, folders }
    token = next
  } while (token !== undefined)
}

async function fetchPage(session: Session, request: PageRequest): Promise<FetchedPage> {
  const { prefix, delimiter: _d, startAfter: _s, token, maxKeys: _m, ...call } = request
  let parsed: ParsedPage | undefined
  const sink: Sink = {
    parse(body) {
      parsed = parseListPage(body)
      return parsed !== undefined
    },
  }
  const refuse = (why: string) => badListing(session, prefix, why)
  const page = await session.send(
    { ...call, kind: 'LIST', key: prefix },
    async (client, send) => {
      parsed = undefined
      const { ListObjectsV2Command } = await import('./sdk.ts')
      const answer = await client.send(
        new ListObjectsV2Command({ ...commonInput(session), ...inputOf(request) }),
        send,
      )
      return parsed ?? fromAnswer(answer, refuse)
    },
    { sink, light: { question: { kind: 'list', query: queryOf(request) }, read: () => parsed } },
  )
  // A listing that ends early would be taken for the whole: better no answer.
  if (page.truncated && (page.next === undefined || page.next === token))
    throw refuse('no way to its next page')
  const decode = page.encoded ? decodeKey : (key: string) => key
  for (const object of page.objects) {
    const key = decode(object.key)
    if (key === undefined || key === '' || !key.startsWith(prefix))
      throw refuse(`the key ${JSON.stringify(object.key)}`)
    object.key = key
  }
  const folders = page.folders.map((name) => {
    const folder = decode(name)
    if (!folder?.startsWith(prefix)) throw refuse(`the folder ${JSON.stringify(name)}`)
    return folder
  })
  ownTexts(page.objects)
  const next = page.truncated && page.next !== undefined ? ownText(page.next) : undefined
  return { objects: page.objects, folders, next }
}

function inputOf({ prefix, delimiter, startAfter, token, maxKeys }: PageRequest) {
  return {
    Prefix: prefix,
    EncodingType: 'url' as const,
    ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
    ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
    ...(token === undefined ? {} : { ContinuationToken: token }),
    ...(maxKeys === undefined ? {} : { MaxKeys: maxKeys }),
  }
}

/** The same as the request's own words (ListObjectsV2, S3 API reference). */
function queryOf({ prefix, delimiter, startAfter, token, maxKeys }: PageRequest): Record<string, string> {
  return {
    'list-type': '2',
    'encoding-type': 'url',
    prefix,
    ...(delimiter === undefined ? {} : { delimiter }),
    ...(startAfter === undefined ? {} : { 'start-after': startAfter }),
    ...(token === undefined ? {} : { 'continuation-token': token }),
    ...(maxKeys === undefined ? {} : { 'max-keys': String(maxKeys) }),
  }
}

/** The same page out of what the SDK's parser made of it. */
export function fromAnswer(
  answer: ListObjectsV2CommandOutput,
  refuse: (why: string) => LongshoreError,
): ParsedPage {
  const objects = (answer.Contents ?? []).map((item): ListedObject => {
    const { Key: key = '', Size: size, LastModified: modified, ETag: etag = '', StorageClass } = item
    if (size === undefined || !Number.isSafeInteger(size) || size < 0)
      throw refuse(`no size of ${JSON.stringify(key)}`)
    const found = { key, size, etag, modified: modified?.getTime() ?? 0 }
    return StorageClass === undefined ? found : { ...found, storageClass: StorageClass }
  })
  return {
    encoded: answer.EncodingType === 'url',
    truncated: answer.IsTruncated === true,
    // Some say it with nothing in it on the last page.
    next: answer.NextContinuationToken || undefined,
    objects,
    folders: (answer.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? ''),
  }
}

/** AWS documents the order of UTF-8 bytes for all buckets but directory buckets (S3 Express). */
function isOrdered(session: Session): boolean {
  return (
    session.settings.endpointUrl === undefined &&
    /^[a-z0-9.-]+$/.test(session.bucket) &&
    !session.bucket.endsWith('--x-s3')
  )
}

/** `+` is a blank in S3's own form of URL encoding; a literal one comes as %2B. */
function decodeKey(key: string): string | undefined {
  if (!/[%+]/.test(key)) return key
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function badListing(session: Session, prefix: string, why: string): LongshoreError {
  const path = `${session.url}/${prefix}`
  return new LongshoreError('SERVER', `${path}: the listing can't be used: ${why}`, {
    path,
    hint: 'report it to who runs the server',
  })
}
