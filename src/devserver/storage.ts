import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import path from 'node:path'
import type { Checksum } from './digest-body.ts'
import { s3Failure } from './failure.ts'
import type { Algorithm } from './hashers.ts'
import { type KeyIndex, keyIndex } from './key-index.ts'
import { readMeta, type Staged, type StageOptions } from './staging.ts'

export interface StoredObject {
  key: string
  size: number
  /** With quotes. */
  etag: string
  /** ms since the epoch, whole seconds (all that Last-Modified can say) */
  modified: number
  /** Returned with the object as they are: content-type, content-encoding, x-amz-meta-* … */
  headers: Record<string, string>
  storageClass?: string | undefined
  checksum?: (Checksum & { type: ChecksumType }) | undefined
  /** Of a multipart object: its bytes stay in the parts' files. Paths from the bucket's folder. */
  segments?: Segment[] | undefined
}

export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE'

export interface Segment {
  file: string
  size: number
}

export interface StoredPart extends Segment {
  partNumber: number
  etag: string
  modified: number
  checksum?: Checksum | undefined
}

export interface Upload {
  id: string
  key: string
  initiated: number
  headers: Record<string, string>
  storageClass?: string | undefined
  algorithm?: Algorithm | undefined
  type?: ChecksumType | undefined
  parts: Map<number, StoredPart>
}

/**
 * On disk: `objects/<2 hex>/<sha-256 of the key>` (bytes, then metadata), `parts/<upload>/<number>.<random>` (the
 * same), `parts/<upload>/upload` while it is open, `tmp/`. No name comes from a key, so any key can be kept.
 */
export interface Bucket {
  name: string
  created: number
  dir: string
  stage: StageOptions
  objects: KeyIndex<StoredObject>
  uploads: Map<string, Upload>
  lifecycle: Buffer | undefined
}

export interface Storage {
  buckets: Map<string, Bucket>
  create(name: string): Bucket
  remove(bucket: Bucket): void
}

export function openStorage(options: { dir: string; fsync: boolean }): Storage {
  const buckets = new Map<string, Bucket>()
  mkdirSync(options.dir, { recursive: true })
  for (const name of readdirSync(options.dir).sort())
    if (existsSync(path.join(options.dir, name, 'objects'))) buckets.set(name, load(name))

  function load(name: string): Bucket {
    const dir = path.join(options.dir, name)
    const tmp = path.join(dir, 'tmp')
    rmSync(tmp, { recursive: true, force: true })
    mkdirSync(tmp)
    const bucket: Bucket = {
      name,
      created: Math.floor(statSync(path.join(dir, 'objects')).birthtimeMs),
      dir,
      stage: { tmp, fsync: options.fsync },
      objects: keyIndex(),
      uploads: new Map(),
      lifecycle: undefined,
    }
    const used = loadObjects(bucket)
    loadUploads(bucket, used)
    return bucket
  }

  return {
    buckets,
    create(name) {
      if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) || name.includes('..'))
        throw s3Failure('InvalidBucketName', 'The specified bucket is not valid.', { BucketName: name })
      mkdirSync(path.join(options.dir, name, 'objects'), { recursive: true })
      mkdirSync(path.join(options.dir, name, 'parts'), { recursive: true })
      const bucket = load(name)
      buckets.set(name, bucket)
      return bucket
    },
    remove(bucket) {
      if (bucket.objects.size > 0)
        throw s3Failure('BucketNotEmpty', 'The bucket you tried to delete is not empty')
      rmSync(bucket.dir, { recursive: true, force: true })
      buckets.delete(bucket.name)
    },
  }
}

/** Uploads whose parts live on as objects. */
function loadObjects(bucket: Bucket): Set<string> {
  const used = new Set<string>()
  const root = path.join(bucket.dir, 'objects')
  for (const folder of readdirSync(root)) {
    for (const name of readdirSync(path.join(root, folder))) {
      const object = readMeta(path.join(root, folder, name)) as StoredObject | undefined
      if (object === undefined) continue
      bucket.objects.set(object.key, object)
      const first = object.segments?.[0]
      if (first !== undefined) used.add(first.file.split('/')[1] ?? '')
    }
  }
  return used
}

function loadUploads(bucket: Bucket, used: ReadonlySet<string>): void {
  const root = path.join(bucket.dir, 'parts')
  for (const id of readdirSync(root)) {
    // Completed, then killed before the upload's own record went: the object is the truth.
    if (used.has(id)) {
      rmSync(path.join(root, id, 'upload'), { force: true })
      continue
    }
    const record = path.join(root, id, 'upload')
    const upload = existsSync(record) ? (readMeta(record) as Omit<Upload, 'parts'> | undefined) : undefined
    if (upload === undefined) {
      rmSync(path.join(root, id), { recursive: true, force: true })
      continue
    }
    const parts = new Map<number, StoredPart>()
    for (const name of readdirSync(path.join(root, id)).sort()) {
      const part =
        name === 'upload' ? undefined : (readMeta(path.join(root, id, name)) as StoredPart | undefined)
      const older = part === undefined ? undefined : parts.get(part.partNumber)
      if (part !== undefined && (older === undefined || older.modified <= part.modified))
        parts.set(part.partNumber, part)
    }
    bucket.uploads.set(id, { ...upload, parts })
  }
}

export function objectFile(bucket: Bucket, key: string): string {
  const hash = createHash('sha256').update(key).digest('hex')
  return path.join(bucket.dir, 'objects', hash.slice(0, 2), hash)
}

/** Makes the object appear, in place of an older one. */
export function putObject(bucket: Bucket, staged: Staged, object: StoredObject): void {
  const older = bucket.objects.get(object.key)
  staged.place(objectFile(bucket, object.key), object)
  bucket.objects.set(object.key, object)
  if (older !== undefined) retire(bucket, older)
}

export function deleteObject(bucket: Bucket, key: string): void {
  const object = bucket.objects.get(key)
  if (object === undefined) return
  rmSync(objectFile(bucket, key), { force: true })
  bucket.objects.delete(key)
  retire(bucket, object)
}

const readers = new WeakMap<StoredObject, number>()
const retired = new WeakSet<StoredObject>()

/** While held, the parts' files of a replaced or deleted object stay: a GET that has begun gets its bytes. */
export function hold(bucket: Bucket, object: StoredObject): () => void {
  readers.set(object, (readers.get(object) ?? 0) + 1)
  return () => {
    readers.set(object, (readers.get(object) ?? 1) - 1)
    if (retired.has(object)) retire(bucket, object)
  }
}

function retire(bucket: Bucket, object: StoredObject): void {
  retired.add(object)
  if (object.segments === undefined || (readers.get(object) ?? 0) > 0) return
  for (const { file } of object.segments) rmSync(path.join(bucket.dir, file), { force: true })
  const first = object.segments[0]
  if (first !== undefined) removeEmpty(path.join(bucket.dir, path.dirname(first.file)))
}

function removeEmpty(dir: string): void {
  try {
    rmdirSync(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error
  }
}
