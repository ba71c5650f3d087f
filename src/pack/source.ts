import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { LongshoreError } from '../errors.ts'
import { readLineBatches } from '../formats/sample-index.ts'
import { errorCode } from '../fs/error-code.ts'
import type { SortRecord } from '../fs/sort-run.ts'
import { spillSort } from '../fs/spill-sort.ts'
import type { ObjectStore } from '../s3/store.ts'

export interface SourceObject {
  /** Relative to SRC. */
  rel: string
  size: number
  etag: string
  storageClass?: string | undefined
}

/** A page of what SRC holds, in no order that anyone may trust. */
export interface SourcePage {
  objects: SourceObject[]
  /** What is there and is no object (a pipe, a link to nothing), or was asked for and is not there. */
  unreadable: { rel: string; reason: string | undefined }[]
}

export async function* listSource(
  store: ObjectStore,
  options: { prefix: string; signal: AbortSignal },
): AsyncGenerator<SourcePage> {
  const { prefix, signal } = options
  for await (const page of store.listPages({ prefix, signal, anyOrder: true })) {
    yield {
      objects: page.objects.map(({ key, size, etag, storageClass }) => {
        return { rel: key.slice(prefix.length), size, etag, storageClass }
      }),
      unreadable: (page.skipped ?? []).map(({ key, reason }) => ({ rel: key.slice(prefix.length), reason })),
    }
  }
}

/** The same listing with some objects as they were planned: changed ones as they were, lost ones there. */
export async function* listAsPlanned(
  pages: AsyncIterable<SourcePage>,
  planned: ReadonlyMap<string, SourceObject>,
): AsyncGenerator<SourcePage> {
  const isOther = ({ rel }: { rel: string }): boolean => !planned.has(rel)
  for await (const page of pages) {
    yield { objects: page.objects.filter(isOther), unreadable: page.unreadable.filter(isOther) }
  }
  yield { objects: [...planned.values()], unreadable: [] }
}

const HEADS = 32
const MAX_LINE = 16 * 1024

/** The keys of a list, sorted by their bytes, without empty lines and repetitions. `file` '-' is stdin. */
export async function* readFileList(
  file: string,
  options: { dir: string; signal: AbortSignal; stdin?: Readable },
): AsyncGenerator<string> {
  const { dir, signal } = options
  const input = file === '-' ? (options.stdin ?? process.stdin) : createReadStream(file)
  async function* records(): AsyncGenerator<SortRecord[]> {
    for await (const lines of readLineBatches(input, { maxBytes: MAX_LINE, path: file, signal })) {
      yield lines
        .map((line) => ({ key: line.replace(/\r$/, '').replace(/^\.\//, ''), value: '' }))
        .filter(({ key }) => key !== '')
    }
  }
  try {
    let last: string | undefined
    for await (const batch of spillSort(records(), { dir, signal })) {
      for (const { key } of batch) {
        if (key !== last) yield key
        last = key
      }
    }
  } catch (cause) {
    if (cause instanceof LongshoreError || errorCode(cause) === undefined) throw cause
    throw new LongshoreError('LOCAL_IO', `the list of files can't be read: ${file} (${errorCode(cause)})`, {
      path: file,
      hint: 'give --files-from a readable file, a key a line, or - for stdin',
      cause,
    })
  }
}

/** Looks up each key of a list: sizes by HEAD, 32 at once, in pages. */
export async function* headSource(
  keys: AsyncIterable<string>,
  store: ObjectStore,
  options: { prefix: string; signal: AbortSignal },
): AsyncGenerator<SourcePage> {
  const { prefix, signal } = options
  const look = async (batch: string[]): Promise<SourcePage> => {
    const page: SourcePage = { objects: [], unreadable: [] }
    const found = await Promise.all(batch.map((rel) => store.head(prefix + rel, { signal })))
    for (const [i, rel] of batch.entries()) {
      const info = found[i]
      if (info) page.objects.push({ rel, size: info.size, etag: info.etag, storageClass: info.storageClass })
      else page.unreadable.push({ rel, reason: undefined })
    }
    return page
  }
  let batch: string[] = []
  for await (const key of keys) {
    batch.push(key)
    if (batch.length < HEADS) continue
    yield await look(batch)
    batch = []
  }
  if (batch.length > 0) yield await look(batch)
}
