import { Agent } from 'node:https'
import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client,
} from '@aws-sdk/client-s3'
import type { Listed } from './types.ts'

/** A bucket through the plain SDK: what the tools wrote is judged, and removed, by none of them. */
export interface Bucket {
  list(prefix: string): AsyncIterable<Listed>
  remove(prefix: string): Promise<void>
  put(key: string, body: Uint8Array): Promise<void>
  /** Throws when no credentials or no region can be found. */
  settings(): Promise<{ region: string }>
  close(): void
}

export interface BucketOptions {
  bucket: string
  endpointUrl?: string | undefined
  region?: string | undefined
  credentials?: { accessKeyId: string; secretAccessKey: string }
  /** PEM */
  ca?: string | undefined
}

export function openBucket(options: BucketOptions): Bucket {
  const { bucket: Bucket, endpointUrl, region, credentials, ca } = options
  const client = new S3Client({
    ...(endpointUrl === undefined ? {} : { endpoint: endpointUrl, forcePathStyle: true }),
    ...(region === undefined ? {} : { region }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(ca === undefined ? {} : { requestHandler: { httpsAgent: new Agent({ ca, keepAlive: true }) } }),
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })

  async function* list(Prefix: string): AsyncGenerator<Listed> {
    for await (const page of paginateListObjectsV2({ client }, { Bucket, Prefix })) {
      for (const { Key, Size, ETag } of page.Contents ?? []) {
        if (Key !== undefined) yield { key: Key, size: Size ?? 0, etag: ETag ?? '' }
      }
    }
  }

  async function removeKeys(keys: string[]): Promise<void> {
    if (keys.length === 0) return
    const answer = await client.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Quiet: true, Objects: keys.map((Key) => ({ Key })) } }),
    )
    const failed = answer.Errors?.[0]
    if (failed !== undefined)
      throw new Error(`s3://${Bucket}/${failed.Key} can't be removed: ${failed.Message}`)
  }

  async function abortUploads(Prefix: string): Promise<void> {
    for (let more = true; more; ) {
      // Always the first page: what it showed is gone then.
      const page = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix }))
      for (const { Key, UploadId } of page.Uploads ?? []) {
        await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
      }
      more = page.IsTruncated === true && (page.Uploads ?? []).length > 0
    }
  }

  return {
    list,
    async remove(prefix) {
      if (prefix === '') throw new Error('the bench removes only what is below its own prefix')
      let keys: string[] = []
      for await (const { key } of list(prefix)) {
        if (keys.push(key) < 1000) continue
        await removeKeys(keys)
        keys = []
      }
      await removeKeys(keys)
      await abortUploads(prefix)
    },
    async put(Key, Body) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body }))
    },
    async settings() {
      await client.config.credentials()
      return { region: await client.config.region() }
    },
    close: () => client.destroy(),
  }
}
