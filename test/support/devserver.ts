import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { makeCertificate } from '../../src/devserver/certificate.ts'
import type { FaultRule } from '../../src/devserver/fault-rule.ts'
import { startDevServer } from '../../src/devserver/server.ts'
import { DEV_CREDENTIALS, type DevServer, type DevServerOptions } from '../../src/devserver/types.ts'
import { S3_DEFAULTS, type S3Settings } from '../../src/s3/settings.ts'
import { type Cleanup, tempDir } from './tmp.ts'

export interface TestServer {
  server: DevServer
  bucket: string
  /** `s3://<bucket>` */
  root: string
  /** For everything that takes settings; credentials come from `env`. */
  settings: S3Settings
  /** Credentials, region, endpoint and CA: the whole environment of a child that talks to this server. */
  env: Record<string, string>
  /** Puts objects straight into the storage. Paths are keys of the bucket. */
  seed(objects: Record<string, string | Uint8Array>): void
}

export interface WithDevServerOptions extends Omit<Partial<DevServerOptions>, 'tls' | 'faults'> {
  bucket?: string
  faults?: readonly FaultRule[]
  /** https with a certificate of its own; `settings.caBundle` names it. */
  tls?: boolean
}

/** A dev server on a temporary folder, with one bucket, closed after the test. */
export async function withDevServer(
  t: Cleanup,
  { bucket = 'test', tls = false, ...options }: WithDevServerOptions = {},
): Promise<TestServer> {
  // The folder goes after the server that writes to it.
  const removals: (() => void | Promise<void>)[] = []
  const dir = tempDir({ after: (remove) => removals.push(remove) })
  const certificate = tls ? makeCertificate() : undefined
  const ca = path.join(dir, 'ca.pem')
  if (certificate !== undefined) writeFileSync(ca, certificate.cert)
  const server = await startDevServer({
    dir: path.join(dir, 'buckets'),
    buckets: [bucket],
    tls: certificate,
    ...options,
  })
  t.after(async () => {
    await server.close()
    for (const remove of removals) await remove()
  })
  const env: Record<string, string> = {
    ...process.env,
    AWS_ACCESS_KEY_ID: DEV_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: DEV_CREDENTIALS.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: server.url,
    ...(tls ? { AWS_CA_BUNDLE: ca } : {}),
  }
  return {
    server,
    bucket,
    root: `s3://${bucket}`,
    settings: {
      ...S3_DEFAULTS,
      endpointUrl: server.url,
      region: 'us-east-1',
      ...(tls ? { caBundle: ca } : {}),
    },
    env,
    seed(objects) {
      for (const [key, body] of Object.entries(objects)) server.objects.put(bucket, key, body)
    },
  }
}
