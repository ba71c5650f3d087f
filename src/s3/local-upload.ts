import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, opendir, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { renameDurable, writeFileDurable } from '../fs/durable.ts'
import { errorCode } from '../fs/error-code.ts'
import { makePath } from '../fs/make-path.ts'
import { localEtag } from './local-list.ts'
import { holds, partEtag, readRecords, recordName } from './local-part-record.ts'
import { localError, localPath, STATE_FOLDER } from './local-path.ts'
import { tempPath } from './local-temp.ts'
import { makeParents, place, placeAbsent } from './local-write.ts'
import type {
  CallOptions,
  CompleteRequest,
  OpenUpload,
  PartRequest,
  UploadedPart,
  WriteOutcome,
} from './store.ts'

/**
 * A multipart upload into a folder: `.longshore/uploads/<id>/data` takes every part at its offset, an empty file
 * beside it records each part that is whole (src/s3/local-part-record.ts), `upload.json` names the key.
 */
const ID = /^[0-9a-f]{24}$/
/** Loaded late: threads that only write parts need no zod. */
const headSchema = async () => {
  const z = await import('../late-zod.ts')
  return z.strictObject({ key: z.string().min(1), initiated: z.number().int().nonnegative() })
}

export async function createLocalUpload(root: string, key: string): Promise<string> {
  const path = localPath(root, key)
  const uploadId = randomBytes(12).toString('hex')
  const folder = uploadFolder(root, uploadId)
  try {
    // Made aside: a folder without its upload.json could be seen by no listing, and so be swept by nobody.
    const made = await tempPath(root)
    try {
      await mkdir(made)
      await writeFileDurable(join(made, 'upload.json'), JSON.stringify({ key, initiated: Date.now() }))
      await (await open(join(made, 'data'), 'wx', 0o666)).close()
      await makePath(dirname(folder))
      await renameDurable(made, folder)
    } catch (error) {
      await rm(made, { recursive: true, force: true })
      throw error
    }
    return uploadId
  } catch (error) {
    throw localError(error, path)
  }
}

export async function putLocalPart(
  root: string,
  request: PartRequest,
  options: CallOptions = {},
): Promise<UploadedPart> {
  const { partNumber, offset, body, uploadId } = request
  const folder = uploadFolder(root, uploadId)
  const crc = crcHex(request.crc32)
  try {
    const file = await open(join(folder, 'data'), 'r+')
    try {
      await writeAll(file, body, offset, options.signal)
    } finally {
      await file.close()
    }
    const name = recordName({ partNumber, offset, size: body.length }, crc)
    for (const old of await readdir(folder)) {
      if (old !== name && old.startsWith(`${partNumber}-`)) await rm(join(folder, old), { force: true })
    }
    await (await open(join(folder, name), 'w')).close()
    return { partNumber, etag: partEtag(crc, body.length), size: body.length, crc32: request.crc32 }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (errorCode(error) === 'ENOENT') throw noUpload(root, request.key)
    throw localError(error, localPath(root, request.key))
  }
}

export async function completeLocalUpload(root: string, request: CompleteRequest): Promise<WriteOutcome> {
  const path = localPath(root, request.key)
  const folder = uploadFolder(root, request.uploadId)
  const data = join(folder, 'data')
  try {
    await makeParents(path)
    const open_ = await openData(data)
    if (open_ === undefined) return await alreadyPlaced(root, request, folder)
    try {
      await checkParts(root, request, folder)
      await open_.truncate(request.size)
      await open_.sync()
    } finally {
      await open_.close()
    }
    const outcome = request.condition === 'absent' ? await placeOnce(data, path) : await place(data, path)
    if (outcome.status === 'written') await rm(folder, { recursive: true, force: true })
    return outcome
  } catch (error) {
    throw localError(error, path)
  }
}

export async function abortLocalUpload(root: string, uploadId: string): Promise<void> {
  await rm(uploadFolder(root, uploadId), { recursive: true, force: true })
}

/** Parts whose bytes still have their checksum: after a power cut a record may outlive the bytes. */
export async function listLocalParts(
  root: string,
  uploadId: string,
  options: CallOptions = {},
): Promise<UploadedPart[] | undefined> {
  const folder = uploadFolder(root, uploadId)
  const records = await readRecords(folder)
  const file = await openData(join(folder, 'data'))
  if (records === undefined || file === undefined) return undefined
  try {
    const good: UploadedPart[] = []
    for (const record of records) {
      if (!(await holds(file, record, options.signal))) continue
      const { partNumber, etag, size, crc32: crc } = record
      good.push({ partNumber, etag, size, crc32: crc })
    }
    return good
  } finally {
    await file.close()
  }
}

export async function* listLocalUploads(
  root: string,
  prefix: string,
): AsyncGenerator<OpenUpload, void, undefined> {
  const folder = join(root, STATE_FOLDER, 'uploads')
  try {
    for await (const entry of await opendir(folder)) {
      if (!ID.test(entry.name)) continue
      const found = await readHead(join(folder, entry.name))
      if (found?.key.startsWith(prefix)) yield { ...found, uploadId: entry.name }
    }
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw localError(error, folder)
  }
}

/** A crash between link() and tidying leaves both names on one inode: that is our object, not someone else's. */
async function placeOnce(data: string, path: string): Promise<WriteOutcome> {
  const outcome = await placeAbsent(data, path)
  if (outcome.status === 'written') return outcome
  const [mine, theirs] = await Promise.all([stat(data, { bigint: true }), stat(path, { bigint: true })])
  const same = mine.ino === theirs.ino && mine.dev === theirs.dev
  return same ? { status: 'written', etag: localEtag(theirs) } : outcome
}

/** `data` is gone: this very upload was placed before (its folder is left), or it was aborted (nothing is). */
async function alreadyPlaced(root: string, request: CompleteRequest, folder: string): Promise<WriteOutcome> {
  const path = localPath(root, request.key)
  const here = await stat(path, { bigint: true }).catch(() => undefined)
  const placed = (await readHead(folder))?.key === request.key
  if (placed && here !== undefined && Number(here.size) === request.size) {
    await rm(folder, { recursive: true, force: true })
    return { status: 'written', etag: localEtag(here) }
  }
  if (here !== undefined && request.condition === 'absent') return { status: 'exists' }
  throw noUpload(root, request.key)
}

async function checkParts(root: string, request: CompleteRequest, folder: string): Promise<void> {
  const records = new Map((await readRecords(folder))?.map((r) => [r.partNumber, r]))
  let end = 0
  for (const part of request.parts) {
    const record = records.get(part.partNumber)
    if (record === undefined || record.etag !== part.etag || record.offset !== end) {
      throw new LongshoreError('SERVER', `${request.key}: part ${part.partNumber} is not what was uploaded`, {
        path: `file://${root}/${request.key}`,
        hint: 'run again: the parts are uploaded anew',
      })
    }
    end += record.size
  }
  if (end === request.size) return
  throw new LongshoreError('SERVER', `${request.key}: the parts make ${end} bytes, not ${request.size}`, {
    path: `file://${root}/${request.key}`,
    hint: 'run again: the parts are uploaded anew',
  })
}

async function readHead(folder: string): Promise<{ key: string; initiated: number } | undefined> {
  try {
    return (await headSchema()).parse(JSON.parse(await readFile(join(folder, 'upload.json'), 'utf8')))
  } catch {
    // Being made, being removed, or not ours: in no case an upload that anyone could go on with.
    return undefined
  }
}

async function openData(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'r+')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw localError(error, path)
  }
}

async function writeAll(
  file: FileHandle,
  body: Uint8Array,
  offset: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let done = 0; done < body.length; ) {
    signal?.throwIfAborted()
    const { bytesWritten } = await file.write(body, done, body.length - done, offset + done)
    done += bytesWritten
  }
}

function uploadFolder(root: string, uploadId: string): string {
  if (!ID.test(uploadId)) throw noUpload(root, uploadId)
  return join(root, STATE_FOLDER, 'uploads', uploadId)
}

function noUpload(root: string, key: string): LongshoreError {
  return new LongshoreError('NOT_FOUND', `${key}: the upload is no longer there`, {
    path: `file://${root}/${key}`,
    hint: 'run again: it is begun anew',
  })
}
