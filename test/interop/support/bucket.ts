import { createHash } from 'node:crypto'
import type { RealServer } from './servers.ts'

/** A bucket seen through the plain SDK: what longshore wrote is judged by eyes that are not its own. */
export interface Bucket {
  put(key: string, body: Uint8Array): Promise<void>
  get(key: string): Promise<Buffer>
  /** Keys below a prefix, sorted. */
  keys(prefix: string): Promise<string[]>
  openUploads(): Promise<number>
  empty(prefix: string): Promise<void>
  close(): void
}

export async function openBucket(server: RealServer): Promise<Bucket> {
  const s3 = await import('@aws-sdk/client-s3')
  const client = new s3.S3Client({
    endpoint: server.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: {
      accessKeyId: server.env.AWS_ACCESS_KEY_ID ?? '',
      secretAccessKey: server.env.AWS_SECRET_ACCESS_KEY ?? '',
    },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const Bucket = server.bucket
  const keys = async (Prefix: string): Promise<string[]> => {
    const found: string[] = []
    for await (const page of s3.paginateListObjectsV2({ client }, { Bucket, Prefix })) {
      for (const object of page.Contents ?? []) if (object.Key) found.push(object.Key)
    }
    return found.sort()
  }
  return {
    keys,
    async put(Key, Body) {
      await client.send(new s3.PutObjectCommand({ Bucket, Key, Body }))
    },
    async get(Key) {
      const answer = await client.send(new s3.GetObjectCommand({ Bucket, Key }))
      return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    },
    async openUploads() {
      const answer = await client.send(new s3.ListMultipartUploadsCommand({ Bucket }))
      return answer.Uploads?.length ?? 0
    },
    async empty(prefix) {
      for (const Key of await keys(prefix)) await client.send(new s3.DeleteObjectCommand({ Bucket, Key }))
    },
    close: () => client.destroy(),
  }
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Runs `work` over the items, `width` at a time. */
export async function inParallel<T>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]()
  const lane = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: width }, lane))
}
