import { createReadStream } from 'node:fs'
import { LongshoreError } from '../errors.ts'
import type { ListedFile } from './listing.ts'

/** bytes of a listing that are parsed at once: some 3,000 files */
const CHUNK_BYTES = 256 * 1024

/**
 * Reads a listing file back, in its order, in batches: an array is parsed and handed on for a fraction of what its
 * lines cost one by one. BAD_MANIFEST where it is no such file.
 */
export async function* readListingBatches(path: string): AsyncGenerator<ListedFile[]> {
  let rest = ''
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: CHUNK_BYTES })) {
    const text: string = rest + chunk
    const end = text.lastIndexOf('\n')
    rest = text.slice(end + 1)
    if (end >= 0) yield parseLines(text.slice(0, end), path)
  }
  if (rest !== '') throw damaged(path)
}

/** Within a line a line feed is always escaped: between two lines it may as well be a comma. */
function parseLines(lines: string, path: string): ListedFile[] {
  let rows: unknown[]
  try {
    rows = JSON.parse(`[${lines.replaceAll('\n', ',')}]`)
  } catch {
    throw damaged(path)
  }
  return rows.map((row) => toFile(row, path))
}

function toFile(row: unknown, path: string): ListedFile {
  if (!Array.isArray(row)) throw damaged(path)
  const [name, size, etag, archived] = row
  if (typeof name !== 'string' || !Number.isSafeInteger(size) || typeof etag !== 'string') throw damaged(path)
  return { name, size, etag, archived: typeof archived === 'string' ? archived : undefined }
}

function damaged(path: string): LongshoreError {
  return new LongshoreError('BAD_MANIFEST', `${path}: not a listing that longshore wrote`, {
    path,
    hint: 'remove that file and run again',
  })
}
