import { randomBytes } from 'node:crypto'
import type { S3Client } from '@aws-sdk/client-s3'
import { openClient, type RawClient } from './raw-client.ts'
import type { Quirk } from './suite.ts'

/** A server to ask. */
export interface Target {
  endpoint: string
  bucket: string
  region: string
  /** Of virtual-host style requests. Default s3.localhost. */
  domain?: string
  accessKeyId: string
  secretAccessKey: string
  /** PEM, for https with a certificate of its own. */
  ca?: string | undefined
  /** false: a connection a request, for a server that takes the unread rest of a refused body for the next request. */
  keepAlive?: boolean | undefined
}

/** What a test of the suite works with. */
export interface Context {
  target: Target
  Bucket: string
  client: S3Client
  s3: typeof import('@aws-sdk/client-s3')
  raw: RawClient
  /** A folder that no other test uses, ending in a slash. */
  folder: string
  /** Whether the server words its answer differently here: the test then expects that answer, and no other. */
  lacks(quirk: Quirk): boolean
  put(key: string, body: string | Uint8Array): Promise<string>
  get(key: string): Promise<Buffer>
  /** Keys below a prefix in the server's order, over all pages. */
  list(prefix: string): Promise<string[]>
}

export async function openContext(
  target: Target,
): Promise<Omit<Context, 'folder' | 'lacks'> & { close(): void }> {
  const s3 = await import('@aws-sdk/client-s3')
  const { Agent: HttpsAgent } = await import('node:https')
  const { Agent: HttpAgent } = await import('node:http')
  const reuse = { keepAlive: target.keepAlive ?? true, maxSockets: 50 }
  const httpsAgent = new HttpsAgent({ ca: target.ca, ...reuse })
  const httpAgent = new HttpAgent(reuse)
  const client = new s3.S3Client({
    endpoint: target.endpoint,
    region: target.region,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: target.accessKeyId, secretAccessKey: target.secretAccessKey },
    requestHandler: { httpsAgent, httpAgent, requestTimeout: 20_000 },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
  const raw = openClient(target)
  const Bucket = target.bucket
  return {
    target,
    Bucket,
    client,
    s3,
    raw,
    async put(Key, text) {
      // The SDK takes an empty string for a stream.
      const Body = Buffer.from(text)
      const answer = await client.send(new s3.PutObjectCommand({ Bucket, Key, Body }))
      return answer.ETag ?? ''
    },
    async get(Key) {
      const answer = await client.send(new s3.GetObjectCommand({ Bucket, Key }))
      return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    },
    async list(Prefix) {
      const keys: string[] = []
      for await (const page of s3.paginateListObjectsV2({ client }, { Bucket, Prefix }))
        for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key)
      return keys
    },
    close() {
      raw.close()
      client.destroy()
      httpsAgent.destroy()
      httpAgent.destroy()
    },
  }
}

export function newFolder(): string {
  return `conformance/${randomBytes(6).toString('hex')}/`
}

/** Name and status of the error that a call must end with. */
export async function failureOf(call: Promise<unknown>): Promise<{ code: string; status: number }> {
  try {
    await call
  } catch (error) {
    const { name, $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } }
    if ($metadata?.httpStatusCode === undefined) throw error
    return { code: name ?? '', status: $metadata.httpStatusCode }
  }
  throw new Error('the server took what it should have refused')
}
