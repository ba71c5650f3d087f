import type { FaultRule } from './fault-rule.ts'
import type { Operation } from './route.ts'

export interface Credentials {
  accessKeyId: string
  secretAccessKey: string
  /** When set, requests must carry exactly this x-amz-security-token. */
  sessionToken?: string | undefined
}

/** The credentials of the tests and the demo. */
export const DEV_CREDENTIALS: Credentials = { accessKeyId: 'longshore', secretAccessKey: 'longshore-secret' }

export interface DevServerOptions {
  /** Where buckets are kept; made when missing. What is there is served again. */
  dir: string
  /** 0 (default): any free one. */
  port?: number | undefined
  /** PEM; makes it https. See makeCertificate. */
  tls?: { key: string; cert: string } | undefined
  /** Default: DEV_CREDENTIALS. */
  credentials?: readonly Credentials[] | undefined
  /** Requests without a signature are allowed. Default false. */
  anonymous?: boolean | undefined
  /** Only this region's signatures are taken. Default: any. */
  region?: string | undefined
  /** Made at start where missing. */
  buckets?: readonly string[] | undefined
  /** `bucket.<domain>` in Host is virtual-host style. Default s3.localhost and localhost; the first that fits counts. */
  domains?: readonly string[] | undefined
  faults?: readonly FaultRule[] | undefined
  /** fsync data before an answer. Default false: what a power cut takes is not asked of a test server. */
  fsync?: boolean | undefined
  /** ms until an idle connection is closed; AWS does so after about 5 s. Default 60,000. */
  keepAliveMs?: number | undefined
  /** bytes; smallest part that is not the last. Default 5 MiB, as S3. */
  minPartSize?: number | undefined
  /** Requests remembered one by one; the counters count all. Default 100,000. */
  logSize?: number | undefined
}

export interface LoggedRequest {
  method: string
  operation: Operation
  bucket: string
  key: string
  /** 0: answered by cutting the connection. */
  status: number
  /** Range header as asked. */
  range?: string | undefined
  userAgent?: string | undefined
  /** bytes of object data put into the answer (not those of documents) */
  bytesOut: number
  /** decoded bytes taken from the request's body */
  bytesIn: number
}

export interface RequestLog {
  /** Oldest first. */
  all(): LoggedRequest[]
  /** Requests of that operation (all without one) since the start or the last clear. */
  count(operation?: Operation): number
  /** By operation, those that happened. */
  counts(): Record<string, number>
  clear(): void
}

export interface DevServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  readonly faults: {
    /** Returns a function that takes the rule away. */
    add(rule: FaultRule): () => void
    clear(): void
  }
  readonly requests: RequestLog
  /** Straight into and out of the storage, without HTTP: to prepare a test and to look at its result. */
  readonly objects: {
    put(bucket: string, key: string, body: Uint8Array | string, headers?: Record<string, string>): void
    /** undefined: no such object. Whole object in memory. */
    get(bucket: string, key: string): Buffer | undefined
    delete(bucket: string, key: string): void
    /** In order of their UTF-8 bytes. */
    keys(bucket: string, prefix?: string): string[]
    /** Open multipart uploads. */
    uploads(bucket: string): { key: string; uploadId: string }[]
  }
  /** Cuts all connections and waits until the storage is quiet. */
  close(): Promise<void>
}
