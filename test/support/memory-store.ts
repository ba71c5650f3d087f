import { createHash, randomBytes } from 'node:crypto'
import { open } from 'node:fs/promises'
import { crc32, crcBase64 } from '../../src/checksum/crc32.ts'
import { LongshoreError } from '../../src/errors.ts'
import type { ObjectStore, UploadedPart, WriteOutcome } from '../../src/s3/store.ts'
import type { Engine, Piece, Transfer, TransferDone } from '../../src/transfer/types.ts'

/**
 * A bucket in memory that honours conditions, for protocol tests: every call passes `turn` before it takes effect
 * and once more after, so that a test can order calls of several writers, kill a writer between two of them, lose
 * an answer, or let a request that was given up arrive late.
 */
export interface MemoryBucket {
  objects: Map<string, MemoryObject>
  uploads: Map<string, { key: string; parts: Map<number, { body: Buffer; etag: string }>; initiated: number }>
  /** What the store does not do. */
  ignores: { putCondition?: boolean; completeCondition?: boolean; checksums?: boolean }
  pageSize: number
}

export interface MemoryObject {
  body: Buffer
  etag: string
  modified: number
  multipart: boolean
}

export interface StoreCall {
  name: string
  key: string
}

/** What it returns from 'before' delays the effect: the caller sees TIMEOUT at once, the bucket the request later. */
export type Turn = (
  moment: 'before' | 'after',
  call: StoreCall,
) => Promise<{ late: Promise<void> } | undefined> | undefined

export function memoryBucket(): MemoryBucket {
  return { objects: new Map(), uploads: new Map(), ignores: {}, pageSize: 1000 }
}

export function memoryStore(bucket: MemoryBucket, turn: Turn = () => undefined): ObjectStore {
  const call = async <T>(name: string, key: string, effect: () => T): Promise<T> => {
    const delay = await turn('before', { name, key })
    if (delay) {
      delay.late.then(effect).catch(() => undefined)
      throw new LongshoreError('TIMEOUT', `${name} ${key}: no answer`)
    }
    const result = effect()
    await turn('after', { name, key })
    return result
  }
  const put = (key: string, body: Buffer, multipart: boolean): WriteOutcome => {
    const etag = `"${createHash('md5').update(body).digest('hex')}${multipart ? '-2' : ''}"`
    bucket.objects.set(key, { body, etag, modified: Date.now(), multipart })
    return { status: 'written', etag }
  }
  const infoOf = (key: string, object: MemoryObject) => ({
    key,
    size: object.body.length,
    etag: object.etag,
    modified: object.modified,
    metadata: {},
    checksums: bucket.ignores.checksums ? {} : { crc32: crcBase64(crc32(object.body)) },
  })
  const url = 's3://memory'
  return {
    kind: 's3',
    url,
    place: 'memory',
    bucket: 'memory',
    async *listPages(options) {
      const keys = [...bucket.objects.keys()].filter((k) => k.startsWith(options.prefix)).sort()
      for (let at = 0; at === 0 || at < keys.length; at += bucket.pageSize) {
        const page = keys.slice(at, at + bucket.pageSize)
        yield await call('list', options.prefix, () => ({
          objects: page.flatMap((key) => {
            const object = bucket.objects.get(key)
            return object ? [infoOf(key, object)] : []
          }),
          folders: [],
        }))
      }
    },
    head: (key) =>
      call('head', key, () => {
        const object = bucket.objects.get(key)
        return object && infoOf(key, object)
      }),
    remove: (keys) =>
      call('remove', keys[0] ?? '', () => {
        for (const key of keys) bucket.objects.delete(key)
      }),
    getInto: (request, into) =>
      call('get', request.key, () => {
        const object = bucket.objects.get(request.key)
        if (!object) throw new LongshoreError('NOT_FOUND', `${url}/${request.key} is not there`)
        if (object.body.length !== request.size)
          throw new LongshoreError('SOURCE_CHANGED', `${url}/${request.key} has another size`)
        object.body.copy(into, 0, request.offset, request.offset + into.length)
        return { etag: object.etag, check: 'size' as const }
      }),
    getDocument: (key) =>
      call('getDocument', key, () => {
        const object = bucket.objects.get(key)
        return object && { bytes: Buffer.from(object.body), etag: object.etag }
      }),
    put: (request) =>
      call('put', request.key, (): WriteOutcome => {
        const conditional = request.condition === 'absent' && !bucket.ignores.putCondition
        if (conditional && bucket.objects.has(request.key)) return { status: 'exists' }
        return put(request.key, Buffer.from(request.body), false)
      }),
    putStream: () => Promise.reject(new Error('not used')),
    createUpload: (key) =>
      call('createUpload', key, () => {
        const id = randomBytes(6).toString('hex')
        bucket.uploads.set(id, { key, parts: new Map(), initiated: Date.now() })
        return id
      }),
    putPart: (request) =>
      call('putPart', request.key, () => {
        const upload = bucket.uploads.get(request.uploadId)
        if (!upload) throw new LongshoreError('NOT_FOUND', 'no such upload')
        const body = Buffer.from(request.body)
        const etag = `"${createHash('md5').update(body).digest('hex')}"`
        upload.parts.set(request.partNumber, { body, etag })
        return { partNumber: request.partNumber, etag, size: body.length, crc32: request.crc32 }
      }),
    completeUpload: (request) =>
      call('complete', request.key, (): WriteOutcome => {
        const upload = bucket.uploads.get(request.uploadId)
        const conditional = request.condition === 'absent' && !bucket.ignores.completeCondition
        if (conditional && bucket.objects.has(request.key)) return { status: 'exists' }
        if (!upload) throw new LongshoreError('NOT_FOUND', 'no such upload')
        const bodies = request.parts.map((part) => upload.parts.get(part.partNumber)?.body)
        if (bodies.some((body) => body === undefined)) throw new LongshoreError('SERVER', 'InvalidPart')
        bucket.uploads.delete(request.uploadId)
        return put(request.key, Buffer.concat(bodies.map((body) => body ?? Buffer.alloc(0))), true)
      }),
    abortUpload: (key, uploadId) =>
      call('abortUpload', key, () => {
        bucket.uploads.delete(uploadId)
      }),
    listParts: (key, uploadId) =>
      call('listParts', key, (): UploadedPart[] | undefined => {
        const upload = bucket.uploads.get(uploadId)
        if (!upload) return undefined
        return [...upload.parts].map(([partNumber, part]) => ({
          partNumber,
          etag: part.etag,
          size: part.body.length,
        }))
      }),
    async *listUploads(prefix) {
      await turn('before', { name: 'listUploads', key: prefix })
      for (const [uploadId, { key, initiated }] of [...bucket.uploads]) {
        if (key.startsWith(prefix)) yield { key, uploadId, initiated }
      }
    },
    close: () => Promise.resolve(),
  }
}

/** The engine without workers, budgets or retries: each transfer is one or two store calls. */
export function memoryEngine(): Engine {
  const stores = new Map<string, ObjectStore>()
  const storeOf = (id: string): ObjectStore => {
    const store = stores.get(id)
    if (!store) throw new Error(`store ${id} is not attached`)
    return store
  }
  const move = async (
    transfer: Transfer,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<TransferDone> => {
    options.signal?.throwIfAborted()
    const body = Buffer.alloc(transfer.length)
    for (const piece of transfer.pieces) await readPiece(piece, body)
    const crc = crc32(body)
    const done: TransferDone = {
      id: transfer.id,
      ok: true,
      bytes: body.length,
      blockCrcs: [],
      crc32: crc,
      checks: {},
    }
    const { to } = transfer
    options.signal?.throwIfAborted()
    if (to.kind === 'memory') return { ...done, body }
    if (to.kind === 'object') {
      const condition = to.absent ? 'absent' : undefined
      const outcome = await storeOf(to.store).put({ key: to.key, body, crc32: crc, condition })
      return {
        ...done,
        exists: outcome.status === 'exists',
        ...(outcome.status === 'written' ? outcome : {}),
      }
    }
    if (to.kind === 'part')
      return { ...done, etag: (await storeOf(to.store).putPart({ ...to, body, crc32: crc })).etag }
    const name = to.kind === 'whole' ? (to.temp ?? to.path) : to.path
    const file = await open(name, to.kind === 'file' ? 'r+' : 'w')
    await file.write(body, 0, body.length, to.kind === 'file' ? to.offset : 0)
    await file.close()
    return done
  }
  const readPiece = async (piece: Piece, body: Buffer): Promise<void> => {
    const into = body.subarray(piece.at, piece.at + piece.length)
    if (piece.kind === 'bytes') into.set(piece.bytes)
    else if (piece.kind === 'object') await storeOf(piece.store).getInto(piece, into)
    else {
      const file = await open(piece.path, 'r')
      const { bytesRead } = await file.read(into, 0, piece.length, piece.offset)
      await file.close()
      if (bytesRead !== piece.length)
        throw new LongshoreError('LOCAL_IO', `${piece.path} is shorter than planned`)
    }
  }
  return {
    streams: false,
    stats: {
      requests: {},
      behind: 0,
      retries: 0,
      slowdowns: 0,
      bytesIn: 0,
      bytesOut: 0,
      concurrency: 1,
      peakBuffer: 0,
      handedOver: {},
      workers: 0,
      alive: 0,
    },
    attach(store) {
      stores.set(store.url, store)
      return store.url
    },
    move,
    async run(plan, options) {
      for await (const planned of plan)
        for (const transfer of [planned].flat() as Transfer[]) {
          const result = await move(transfer, options).catch((error: unknown) => {
            if (error instanceof LongshoreError) return { id: transfer.id, ok: false, error } as const
            throw error
          })
          options.onResult(result)
        }
    },
    expect() {},
    readDocument: (store, key, options = {}) => {
      options.signal?.throwIfAborted()
      return store.getDocument(key, { maxBytes: options.maxBytes ?? 1024 * 1024 })
    },
    writeDocument: (store, key, bytes, options = {}) => {
      options.signal?.throwIfAborted()
      return store.put({ key, body: bytes, condition: options.condition })
    },
    close: () => Promise.resolve(),
  }
}
