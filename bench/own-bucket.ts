import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Bucket, openBucket } from './bucket.ts'
import { userEnv } from './environment.ts'
import type { Gateways } from './gateway.ts'
import type { Target } from './types.ts'

export interface OwnBucket {
  bucket: string
  /** '' or ends with '/'. */
  prefix: string
  endpointUrl?: string | undefined
  caBundle?: string | undefined
}

/** A bucket of the user's. Everything goes below a new prefix of the bench's own, and that is removed at the end. */
export async function openOwnBucket(own: OwnBucket): Promise<Gateways> {
  const ca = own.caBundle === undefined ? undefined : await readFile(own.caBundle, 'utf8')
  // Compatible stores have no regions, but a signature needs one.
  const region = process.env.AWS_REGION ?? (own.endpointUrl === undefined ? undefined : 'us-east-1')
  const bucket = openBucket({ bucket: own.bucket, endpointUrl: own.endpointUrl, region, ca })
  const prefix = `${own.prefix}longshore-bench-${randomBytes(4).toString('hex')}/`
  try {
    const settings = await settingsOf(bucket)
    await bucket.put(`${prefix}probe`, new Uint8Array(1)).catch((error: unknown) => {
      throw new Error(`can't write to s3://${own.bucket}/${prefix}: ${messageOf(error)}`)
    })
    const url = new URL(own.endpointUrl ?? `https://s3.${settings.region}.amazonaws.com`)
    const target: Target = {
      scheme: url.protocol === 'http:' ? 'http' : 'https',
      name: `s3://${own.bucket}/ at ${url.host}`,
      bucket: own.bucket,
      prefix,
      endpointUrl: own.endpointUrl,
      caBundle: own.caBundle,
      env: userEnv({
        AWS_REGION: settings.region,
        // s5cmd reads it from here only.
        ...(own.caBundle === undefined ? {} : { AWS_CA_BUNDLE: own.caBundle }),
      }),
      serverPids: [],
      seedsDirectly: false,
      list: (below) => bucket.list(prefix + below),
      remove: (below) => bucket.remove(prefix + below),
    }
    const stop = async () => {
      await bucket.remove(prefix).catch((error: unknown) => {
        throw new Error(
          `s3://${own.bucket}/${prefix} could not be removed, do it by hand: ${messageOf(error)}`,
        )
      })
      bucket.close()
    }
    return { targets: [target], stop }
  } catch (error) {
    bucket.close()
    throw error
  }
}

async function settingsOf(bucket: Bucket): Promise<{ region: string }> {
  try {
    return await bucket.settings()
  } catch (error) {
    throw new Error(
      `no credentials or no region for your bucket: ${messageOf(error)}\n` +
        '  set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and AWS_REGION',
    )
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
