import { createHash } from 'node:crypto'
import { appendFile, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { errorCode } from '../fs/error-code.ts'
import { makePath } from '../fs/make-path.ts'
import { type LogPlace, placeUrl } from './log.ts'
import type { StagedFile } from './types.ts'

/**
 * `DIR/.longshore/journal/upload-<hash>.jsonl`: one multipart upload of one file. Lines are only added, and never
 * synced: after a power cut a lost line costs a part sent twice, not a wrong one (parts are listed and compared).
 * The key is noted before the upload is made, so that an upload whose id was never learned can be found.
 */
export interface UploadJournal {
  readonly path: string
  /** Where it goes, relative to the run's prefix. undefined: nothing begun. */
  key: string | undefined
  uploadId: string | undefined
  /** bytes */
  partSize: number
  /** CRC-32 of the parts that were sent, by number, and the ETag they got. */
  parts: Map<number, { crc32: number; etag: string }>
  /** The object is complete in the bucket: its ETag and its CRC-32. */
  done: { etag: string; crc32: number } | undefined
}

const headSchema = z.strictObject({ version: z.literal(1), run: z.string(), path: z.string() })
const lineSchema = z.union([
  z.strictObject({ key: z.string(), partSize: z.number().int().positive() }),
  z.strictObject({ uploadId: z.string() }),
  z.strictObject({ part: z.number().int().positive(), crc32: z.number().int(), etag: z.string() }),
  z.strictObject({ done: z.string(), crc32: z.number().int() }),
])

/** The journal of this very file (same inode, size and modification time), with what an earlier run put into it. */
export async function openJournal(
  place: LogPlace,
  file: StagedFile,
  options: { stateDir: string },
): Promise<UploadJournal> {
  const identity = [placeUrl(place), file.path, file.inode, file.mtimeNs, file.size].join('\0')
  const hash = createHash('sha1').update(identity).digest('hex').slice(0, 20)
  const path = join(journalFolder(options.stateDir), `upload-${hash}.jsonl`)
  const found = await readJournal(path)
  if (found) return found
  await makePath(journalFolder(options.stateDir))
  await writeFile(path, `${JSON.stringify({ version: 1, run: placeUrl(place), path: file.path })}\n`)
  return { path, ...blank() }
}

/** Every journal of this run in the folder. */
export async function* listJournals(
  place: LogPlace,
  options: { stateDir: string },
): AsyncGenerator<UploadJournal & { modified: number }> {
  const folder = journalFolder(options.stateDir)
  const names = await readdir(folder).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return []
    throw error
  })
  for (const name of names.filter((n) => /^upload-.*\.jsonl$/.test(n))) {
    const path = join(folder, name)
    const journal = await readJournal(path)
    if (journal?.run === placeUrl(place)) yield { ...journal, modified: (await stat(path)).mtimeMs }
  }
}

export async function noteKey(journal: UploadJournal, key: string, partSize: number): Promise<void> {
  Object.assign(journal, blank(), { key, partSize })
  await add(journal.path, { key, partSize })
}

export async function noteUpload(journal: UploadJournal, uploadId: string): Promise<void> {
  journal.uploadId = uploadId
  await add(journal.path, { uploadId })
}

export async function notePart(
  journal: UploadJournal,
  part: { partNumber: number; crc32: number; etag: string },
): Promise<void> {
  journal.parts.set(part.partNumber, { crc32: part.crc32, etag: part.etag })
  await add(journal.path, { part: part.partNumber, crc32: part.crc32, etag: part.etag })
}

export async function noteDone(journal: UploadJournal, done: { etag: string; crc32: number }): Promise<void> {
  journal.done = done
  await add(journal.path, { done: done.etag, crc32: done.crc32 })
}

export async function removeJournal(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (errorCode(error) !== 'ENOENT') throw error
  })
}

function journalFolder(stateDir: string): string {
  return join(stateDir, 'journal')
}

function blank(): Omit<UploadJournal, 'path'> {
  return { key: undefined, uploadId: undefined, partSize: 0, parts: new Map(), done: undefined }
}

async function add(path: string, line: unknown): Promise<void> {
  // The newline comes first: a line that a crash cut short does not swallow this one.
  await appendFile(path, `\n${JSON.stringify(line)}\n`)
}

/** A line cut short by a crash is left out: parts are compared with the bucket's list before they count. */
async function readJournal(path: string): Promise<(UploadJournal & { run: string }) | undefined> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return ''
    throw error
  })
  const [first, ...lines] = text.split('\n')
  const head = parse(headSchema, first)
  if (head === undefined) return undefined
  const journal = { path, run: head.run, ...blank() }
  for (const text of lines) {
    const line = parse(lineSchema, text)
    if (line === undefined) continue
    if ('key' in line) Object.assign(journal, blank(), line)
    else if ('uploadId' in line) Object.assign(journal, { uploadId: line.uploadId, parts: new Map() })
    else if ('part' in line) journal.parts.set(line.part, { crc32: line.crc32, etag: line.etag })
    else journal.done = { etag: line.done, crc32: line.crc32 }
  }
  return journal
}

function parse<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  try {
    return schema.parse(JSON.parse(text ?? ''))
  } catch {
    return undefined
  }
}
