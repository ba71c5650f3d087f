import { Readable } from 'node:stream'
import type * as z from 'zod'
import { crc32, crcHex } from '../checksum/crc32.ts'
import { LongshoreError } from '../errors.ts'
import { canonicalJson } from '../manifest/canonical.ts'
import type { ObjectStore } from '../s3/store.ts'
import type { Engine } from '../transfer/types.ts'
import { checked, type Written } from './checked.ts'
import { CLEAR_MS, clearUploads } from './clear-uploads.ts'

/** Where a pack works: the destination and what moves bytes. */
export interface Desk {
  engine: Engine
  store: ObjectStore
  /** Of DST in its store: '' or ending in '/'. */
  prefix: string
  /** Folder of the slices, where this process made the plan itself: it need not fetch what it has just written. */
  slices?: string | undefined
  signal: AbortSignal
}

const MIB = 1024 * 1024
/** Heads and manifests list every shard, some 200 bytes each: room for a million of them. */
const MAX_DOCUMENT = 512 * MIB
/** Lists of lines up to this size are one conditional-free PUT; larger ones are streamed. */
const ONE_PUT = 8 * MIB

/** A record below the plan, checked against its schema. undefined: it is not there. */
export async function readRecord<T>(desk: Desk, key: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const { engine, store, signal } = desk
  const document = await engine.readDocument(store, key, { signal, maxBytes: MAX_DOCUMENT })
  if (document === undefined) return undefined
  const path = `${store.url}/${key}`
  try {
    return schema.parse(JSON.parse(document.bytes.toString('utf8')))
  } catch (cause) {
    throw new LongshoreError('BAD_MANIFEST', `not a record that longshore wrote: ${path}`, {
      path,
      hint: 'pack into another prefix, or delete this one and its .longshore/ folder',
      cause,
    })
  }
}

export async function writeRecord(
  desk: Desk,
  key: string,
  value: unknown,
  condition?: 'absent' | { etag: string },
): Promise<'written' | 'exists'> {
  const bytes = Buffer.from(`${canonicalJson(value)}\n`)
  const { signal } = desk
  return (await desk.engine.writeDocument(desk.store, key, bytes, { signal, condition })).status
}

/** Writes a list of any length in bounded memory. Unconditional: every writer of this key writes these bytes. */
export async function writeList(
  desk: Desk,
  key: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Written> {
  let size = 0
  let crc = 0
  const iterator = chunks[Symbol.asyncIterator]()
  const next = async (): Promise<Uint8Array | undefined> => {
    desk.signal.throwIfAborted()
    const got = await iterator.next()
    if (got.done) return undefined
    size += got.value.length
    crc = crc32(got.value, crc)
    return got.value
  }
  const held: Uint8Array[] = []
  let chunk = await next()
  for (; chunk !== undefined && size <= ONE_PUT; chunk = await next()) held.push(chunk)
  if (chunk === undefined) {
    await desk.engine.writeDocument(desk.store, key, Buffer.concat(held), { signal: desk.signal })
    return { size, crc32: crcHex(crc) }
  }
  const last = chunk
  async function* all() {
    yield* held
    for (let one: Uint8Array | undefined = last; one !== undefined; one = await next()) yield one
  }
  try {
    await desk.store.putStream(key, Readable.from(all(), { objectMode: false }), { signal: desk.signal })
  } catch (error) {
    // A stream's upload can't be ended under the signal that ended the stream.
    const last = { store: desk.store, signal: AbortSignal.timeout(CLEAR_MS) }
    await clearUploads(last, key).catch(() => {})
    throw error
  }
  return { size, crc32: crcHex(crc) }
}

/**
 * An object of DST in pieces of 4 MiB, of the given size and CRC-32. Ends with INTEGRITY when it turns out to be
 * something else: what was read until then must not have been acted on for good.
 */
export function readList(desk: Desk, key: string, file: Written): AsyncGenerator<Uint8Array> {
  const path = `${desk.store.url}/${key}`
  return checked(readObject(desk, key, file.size), file, (crc32) => {
    return new LongshoreError('INTEGRITY', `${path} is not what was written: its CRC-32 is ${crc32}`, {
      path,
      hint: 'delete the .longshore/ folder of this destination and pack again',
    })
  })
}

export async function* readObject(desk: Desk, key: string, size: number): AsyncGenerator<Uint8Array> {
  const { engine, signal } = desk
  const store = engine.attach(desk.store)
  for (let offset = 0; offset < size; offset += 4 * MIB) {
    const length = Math.min(4 * MIB, size - offset)
    const piece = { kind: 'object' as const, at: 0, length, store, key, offset, size, etag: '' }
    const { body } = await engine.move({ id: 0, length, pieces: [piece], to: { kind: 'memory' } }, { signal })
    if (body === undefined)
      throw new LongshoreError('INTERNAL', 'a memory transfer came back without its body')
    yield body
  }
}
