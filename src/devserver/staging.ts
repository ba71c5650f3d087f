import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import path from 'node:path'

/** Bytes that were received, not yet under a final name. */
export interface Staged {
  readonly size: number
  /** Puts `meta` behind the bytes and the file under its name, in one step that no other request can come between. */
  place(file: string, meta: unknown): void
  discard(): void
}

export interface StageOptions {
  /** Folder of unfinished files, on the file system of the final ones. */
  tmp: string
  fsync: boolean
}

/** Up to this size a body waits in memory: one open, write, close and rename for a small object. */
const IN_MEMORY = 1024 * 1024
const MAGIC = Buffer.from('LSDEV\u0001\r\n', 'latin1')

export async function stage(chunks: AsyncIterable<Buffer>, options: StageOptions): Promise<Staged> {
  const temp = path.join(options.tmp, tempName())
  let waiting: Buffer[] = []
  let waitingBytes = 0
  let size = 0
  let file: Awaited<ReturnType<typeof open>> | undefined
  try {
    for await (const chunk of chunks) {
      waiting.push(chunk)
      waitingBytes += chunk.length
      size += chunk.length
      if (waitingBytes <= IN_MEMORY) continue
      file ??= await open(temp, 'wx')
      await file.writev(waiting)
      waiting = []
      waitingBytes = 0
    }
    if (file !== undefined && waitingBytes > 0) await file.writev(waiting)
  } catch (error) {
    await file?.close()
    rmSync(temp, { force: true })
    throw error
  }
  await file?.close()
  return file === undefined
    ? stageBytes(Buffer.concat(waiting, size), options, temp)
    : {
        size,
        place: (to, meta) => finish(temp, 'a', trailer(meta), to, options.fsync),
        discard: () => rmSync(temp, { force: true }),
      }
}

/** The same for bytes that are already here. */
export function stageBytes(
  bytes: Buffer,
  options: StageOptions,
  temp = path.join(options.tmp, tempName()),
): Staged {
  return {
    size: bytes.length,
    place: (to, meta) => finish(temp, 'wx', Buffer.concat([bytes, trailer(meta)]), to, options.fsync),
    discard: () => undefined,
  }
}

/** What `place` put behind the bytes; undefined when the file is none of ours. */
export function readMeta(file: string): unknown {
  const { size } = statSync(file)
  const fd = openSync(file, 'r')
  try {
    const end = Buffer.alloc(MAGIC.length + 4)
    if (size < end.length) return undefined
    readSync(fd, end, 0, end.length, size - end.length)
    const length = end.readUInt32BE(0)
    if (!end.subarray(4).equals(MAGIC) || length > size - end.length) return undefined
    const json = Buffer.alloc(length)
    readSync(fd, json, 0, length, size - end.length - length)
    return JSON.parse(json.toString())
  } finally {
    closeSync(fd)
  }
}

let temporaries = 0

/** The folder is emptied at start and belongs to one server of one process. */
function tempName(): string {
  temporaries++
  return `${process.pid}-${temporaries}`
}

function trailer(meta: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(meta))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(json.length)
  return Buffer.concat([json, length, MAGIC])
}

function finish(temp: string, flags: 'a' | 'wx', bytes: Buffer, to: string, fsync: boolean): void {
  const fd = openSync(temp, flags)
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
    if (fsync) fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  try {
    renameSync(temp, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    mkdirSync(path.dirname(to), { recursive: true })
    renameSync(temp, to)
  }
}
