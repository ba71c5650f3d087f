import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { makeCertificate } from '../../src/devserver/certificate.ts'
import type { FaultRule } from '../../src/devserver/fault-rule.ts'
import { startDevServer } from '../../src/devserver/server.ts'
import { DEV_CREDENTIALS, type DevServer, type DevServerOptions } from '../../src/devserver/types.ts'
import { S3_DEFAULTS, type S3Settings } from '../../src/s3/settings.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import { assertNoWire, LANE, weather } from './lanes.ts'
import { type Cleanup, tempDir } from './tmp.ts'

export interface TestServer {
  server: DevServer
  bucket: string
  /** `s3://<bucket>` */
  root: string
  /** For everything that takes settings; credentials come from `env`. */
  settings: S3Settings
  /** PATH, a HOME without anything in it, credentials, region, endpoint and CA: all that a child needs. */
  env: Record<string, string>
  /** Puts objects straight into the storage. Paths are keys of the bucket. */
  seed(objects: Record<string, string | Uint8Array>): void
  /** The bucket as the product sees it; closed after the test. */
  openStore(settings?: Partial<S3Settings>): Promise<ObjectStore>
}

export interface WithDevServerOptions extends Omit<Partial<DevServerOptions>, 'tls' | 'faults'> {
  bucket?: string
  faults?: readonly FaultRule[]
  /** https with a certificate of its own; `settings.caBundle` names it. */
  tls?: boolean
  /** Why this server stays well in the lane `faults`: the test counts requests, or brings its own trouble. */
  undisturbed?: string
}

/** A dev server on a temporary folder, with one bucket, closed after the test. */
export async function withDevServer(
  t: Cleanup,
  { bucket = 'test', tls = false, undisturbed, faults = [], ...options }: WithDevServerOptions = {},
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
    faults: [...(undisturbed === undefined ? weather() : []), ...faults],
    ...options,
  })
  const stores: ObjectStore[] = []
  t.after(async () => {
    for (const store of stores) await store.close()
    await server.close()
    for (const remove of removals) await remove()
    if (LANE === 'sdk') assertNoWire(server)
  })
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    // No ~/.aws and no configuration of whoever runs the tests.
    HOME: dir,
    AWS_ACCESS_KEY_ID: DEV_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: DEV_CREDENTIALS.secretAccessKey,
    AWS_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: server.url,
    ...(tls ? { AWS_CA_BUNDLE: ca } : {}),
    ...(LANE === undefined ? {} : { LONGSHORE_LANE: LANE }),
  }
  const settings: S3Settings = {
    ...S3_DEFAULTS,
    endpointUrl: server.url,
    region: 'us-east-1',
    ...(tls ? { caBundle: ca } : {}),
    lane: LANE,
  }
  return {
    server,
    bucket,
    root: `s3://${bucket}`,
    settings,
    env,
    async openStore(changed = {}) {
      const { openStore } = await import('../../src/s3/open.ts')
      const { store } = await openStore(
        { kind: 's3', bucket, prefix: '' },
        { ...settings, ...changed },
        { env },
      )
      stores.push(store)
      return store
    },
    seed(objects) {
      for (const [key, body] of Object.entries(objects)) server.objects.put(bucket, key, body)
    },
  }
}
