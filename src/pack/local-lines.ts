import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32, crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { checked, type Written } from './checked.ts'
import { scratchError } from './scratch.ts'

export interface LineFile {
  /** undefined: it is held for a batch, and there is nothing to wait for. */
  write(line: string): Promise<void> | undefined
  /** Closes it; its size and CRC-32. */
  finish(): Promise<Written>
}

export const slicePath = (dir: string, i: number): string => join(dir, `slice-${i}`)
export const leftPath = (dir: string): string => join(dir, 'left')

const BATCH = 256 * 1024
const READ_BYTES = 1024 * 1024

/** A file of lines in the scratch folder, written in batches. */
export async function createLineFile(path: string): Promise<LineFile> {
  const file = await open(path, 'wx', 0o600)
  let held: string[] = []
  let units = 0
  let size = 0
  let crc = 0
  const flush = async (): Promise<void> => {
    const bytes = Buffer.from(held.join(''))
    held = []
    units = 0
    size += bytes.length
    crc = crc32(bytes, crc)
    await file.writeFile(bytes)
  }
  return {
    write(line) {
      held.push(line)
      units += line.length
      return units >= BATCH ? flush() : undefined
    },
    async finish() {
      try {
        await flush()
      } finally {
        await file.close()
      }
      return { size, crc32: crcHex(crc) }
    },
  }
}

/** What was written there. Ends with INTEGRITY when the disk gives back something else, LOCAL_IO when nothing. */
export function readLineFile(path: string, written: Written): AsyncGenerator<Uint8Array> {
  return checked(readChunks(path), written, () => {
    return new LongshoreError('INTEGRITY', `${path} is not what was written to it`, {
      path,
      hint: 'run again; if it stays, have a look at that disk, or set TMPDIR to another',
    })
  })
}

async function* readChunks(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>
  } catch (error) {
    throw scratchError(error, path)
  }
}
