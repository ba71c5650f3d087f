import { type FileHandle, readdir } from 'node:fs/promises'
import { crc32 } from '../checksum/crc32.ts'
import { errorCode } from '../fs/error-code.ts'
import { localError } from './local-path.ts'
import type { UploadedPart } from './store.ts'

/**
 * One whole part of an upload into a folder, recorded as an empty file `<part>-<offset>-<size>-<crc>`. Made after
 * the bytes, and checked against them before anyone trusts it again: after a power cut it may outlive them.
 */
export interface PartRecord extends UploadedPart {
  offset: number
  crc32: number
}

const RECORD = /^(\d{1,5})-(\d{1,16})-(\d{1,16})-([0-9a-f]{8})$/
const CHUNK_BYTES = 1024 * 1024

export function recordName(part: { partNumber: number; offset: number; size: number }, crc: string): string {
  return `${part.partNumber}-${part.offset}-${part.size}-${crc}`
}

export function partEtag(crc: string, size: number): string {
  return `"${crc}-${size}"`
}

/** In the order of the parts; undefined: there is no such folder. */
export async function readRecords(folder: string): Promise<PartRecord[] | undefined> {
  let names: string[]
  try {
    names = await readdir(folder)
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw localError(error, folder)
  }
  const records: PartRecord[] = []
  for (const name of names) {
    const [, part, offset, size, crc] = RECORD.exec(name) ?? []
    if (part === undefined || offset === undefined || size === undefined || crc === undefined) continue
    const bytes = Number(size)
    records.push({
      partNumber: Number(part),
      offset: Number(offset),
      size: bytes,
      crc32: Number.parseInt(crc, 16),
      etag: partEtag(crc, bytes),
    })
  }
  return records.sort((a, b) => a.partNumber - b.partNumber)
}

/** Does the file have the bytes that the record says? */
export async function holds(
  file: FileHandle,
  record: PartRecord,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const chunk = Buffer.allocUnsafe(Math.min(record.size, CHUNK_BYTES))
  let sum = 0
  for (let at = 0; at < record.size; ) {
    signal?.throwIfAborted()
    const want = Math.min(chunk.length, record.size - at)
    const { bytesRead } = await file.read(chunk, 0, want, record.offset + at)
    if (bytesRead === 0) return false
    sum = crc32(chunk.subarray(0, bytesRead), sum)
    at += bytesRead
  }
  return sum === record.crc32
}
