import { hash } from 'node:crypto'
import { basename } from 'node:path/posix'
import { crc32Combine, crcHex } from '../checksum/crc32.ts'
import { bareEtag } from '../s3/etag.ts'
import type { UploadedPart } from '../s3/store.ts'
import { BLOCK_BYTES, type TransferDone } from '../transfer/types.ts'
import { type Desk, readRecord, writeRecord } from './documents.ts'
import { eachOf } from './each-of.ts'
import { partSumsSchema } from './plan-schema.ts'

/** An open upload of a shard: what its parts' sums are kept under. */
export interface OpenShard {
  key: string
  uploadId: string
  /** Key of the record that names it. */
  record: string
  /** bytes */
  size: number
  partSize: number
}

/**
 * The parts that are up and whose sums are known, from the store or from a record of ours that names the very part
 * (its ETag): a part of unknown CRC-32 is fetched again, since a shard's index holds that of every block.
 * undefined: there is no such upload any more.
 */
export async function keptParts(desk: Desk, open: OpenShard): Promise<Map<number, TransferDone> | undefined> {
  const listed = await desk.store.listParts(open.key, open.uploadId, { signal: desk.signal })
  if (listed === undefined) return undefined
  const parts = new Map(listed.map((part) => [part.partNumber, part]))
  const written = [...parts.values()].every((part) => oneSum(part) !== undefined)
    ? new Map<number, number[]>()
    : await readSums(desk, open, parts)
  const kept = new Map<number, TransferDone>()
  for (const [number, part] of parts) {
    const length = Math.min(open.partSize, open.size - (number - 1) * open.partSize)
    const blockCrcs = oneSum(part) ?? written.get(number)
    if (part.size !== length || blockCrcs === undefined) continue
    let crc = 0
    for (const [i, block] of blockCrcs.entries()) {
      crc = crc32Combine(crc, block, Math.min(BLOCK_BYTES, length - i * BLOCK_BYTES))
    }
    if (part.crc32 !== undefined && part.crc32 !== crc) continue
    kept.set(number, {
      id: number,
      ok: true,
      bytes: length,
      blockCrcs,
      crc32: crc,
      checks: {},
      etag: part.etag,
    })
  }
  return kept
}

/** Writes down what `keptParts` will need of a part that is up. */
export async function writeSums(desk: Desk, open: OpenShard, done: TransferDone): Promise<void> {
  const { id, etag, bytes: size, blockCrcs } = done
  const sums = { format: 'longshore-part', version: 1, etag, size, blocks: blockCrcs.map(crcHex) }
  await writeRecord(desk, `${sumsPrefix(open)}${String(id).padStart(5, '0')}.json`, sums)
}

/**
 * Whether sums must be written down: asked with a part of the run that is up, answered once for all. A store's own
 * CRC-32 of a part is that of its one block, where it keeps any (SeaweedFS does not) and a part is one block.
 */
export function createSumsCheck(desk: Desk): (open: OpenShard) => Promise<boolean> {
  let told: Promise<boolean> | undefined
  const ask = async ({ key, uploadId }: OpenShard): Promise<boolean> => {
    try {
      const parts = await desk.store.listParts(key, uploadId, { signal: desk.signal })
      return parts?.every((part) => part.crc32 !== undefined) ?? true
    } catch {
      // Who can't list parts can't continue an upload: sums would be of no use.
      return true
    }
  }
  return async (open) => {
    if (open.partSize > BLOCK_BYTES) return true
    if (desk.store.kind === 'local') return false
    told ??= ask(open)
    return !(await told)
  }
}

function oneSum({ size, crc32 }: UploadedPart): number[] | undefined {
  return size <= BLOCK_BYTES && crc32 !== undefined ? [crc32] : undefined
}

async function readSums(
  desk: Desk,
  open: OpenShard,
  parts: ReadonlyMap<number, UploadedPart>,
): Promise<Map<number, number[]>> {
  const prefix = sumsPrefix(open)
  const sums = new Map<number, number[]>()
  for await (const { objects } of desk.store.listPages({ prefix, signal: desk.signal })) {
    await eachOf(objects, 16, async ({ key }) => {
      const number = Number(basename(key, '.json').slice(-5))
      const part = parts.get(number)
      if (part === undefined) return
      const found = await readRecord(desk, key, partSumsSchema)
      if (found?.size !== part.size || bareEtag(found.etag) !== bareEtag(part.etag)) return
      if (found.blocks.length !== Math.ceil(part.size / BLOCK_BYTES)) return
      sums.set(
        number,
        found.blocks.map((hex) => Number.parseInt(hex, 16)),
      )
    })
  }
  return sums
}

function sumsPrefix({ record, uploadId }: OpenShard): string {
  return `${record.slice(0, -'.json'.length)}-${hash('sha256', uploadId, 'hex').slice(0, 12)}-`
}
