import { LongshoreError } from '../errors.ts'
import type { Progress } from '../progress.ts'
import { openStore } from '../s3/open.ts'
import type { S3Settings } from '../s3/settings.ts'
import type { ListedObject, ObjectStore } from '../s3/store.ts'
import { parseLocation } from '../s3/uri.ts'

/** A source that was opened: a prefix of a bucket, or a local folder. */
export interface Source {
  store: ObjectStore
  prefix: string
  /** `s3://bucket/prefix/` or `file:///folder/`: names it in messages and in the cache's records. */
  url: string
}

export interface SourceContext {
  s3: S3Settings
  env: Readonly<Record<string, string | undefined>>
  progress: Progress
  signal: AbortSignal
  cwd: string
  /** Requests of the planner itself, by kind; the engine counts its own. */
  requests: Record<string, number>
  onRetry: (reason: string) => void
}

/** Opens SRC; the caller closes the store. BAD_URI for what is no place. */
export async function openSource(text: string, context: SourceContext): Promise<Source> {
  const location = parseLocation(text, { cwd: context.cwd })
  const { signal, env } = context
  const { store, prefix } = await openStore(location, context.s3, { env: { ...env }, signal })
  return { store, prefix, url: `${store.url}/${prefix}` }
}

/** Counts a request that does not go through the engine. */
export function countRequest(context: Pick<SourceContext, 'requests'>): (kind: string) => void {
  return (kind) => {
    context.requests[kind] = (context.requests[kind] ?? 0) + 1
  }
}

const SHOWN = 5

/** Every object of the source, in any order and page by page; what a local folder holds that can't be one is warned of. */
export async function* listSource(
  source: Source,
  context: SourceContext,
): AsyncGenerator<readonly ListedObject[]> {
  const skipped: string[] = []
  let count = 0
  const { signal, onRetry } = context
  const pages = source.store.listPages({
    prefix: source.prefix,
    signal,
    anyOrder: true,
    onRequest: countRequest(context),
    onRetry: (retry) => onRetry(retry.reason),
  })
  for await (const page of pages) {
    yield page.objects
    for (const { key, reason } of page.skipped ?? []) {
      if (count++ < SHOWN) skipped.push(`${key} (${reason})`)
    }
  }
  if (count === 0) return
  const more = count > SHOWN ? `, and ${count - SHOWN} more` : ''
  context.progress.warn(`${count} names can't be objects and are left out: ${skipped.join(', ')}${more}`, {
    path: source.url,
  })
}

export function nothingThere(source: Source): LongshoreError {
  return new LongshoreError('NOT_FOUND', `${source.url}: there is no object under this prefix`, {
    path: source.url,
    hint: 'check the bucket and the prefix; a prefix means a folder',
  })
}
