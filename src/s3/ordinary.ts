import { usesPathStyle } from './path-style.ts'
import type { S3Settings } from './settings.ts'
import type { WireCredentials, WireTarget } from './wire/types.ts'

/** How an ordinary bucket is reached, and who asks. */
export interface Ordinary
  extends Pick<WireTarget, 'secure' | 'host' | 'port' | 'authority' | 'base' | 'headers' | 'region'> {
  /** undefined: anonymous requests */
  credentials: WireCredentials | undefined
}

/** What S3's rules for the names of general purpose buckets allow, of which only these mean nothing else. */
const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/
/** Suffixes that S3 reserves for aliases and other kinds of buckets: the SDK treats some of them in another way. */
const RESERVED = /(--x-s3|--xa-s3|--ol-s3|--op-s3|--table-s3|-s3alias|\.mrap)$/
/** What can stand in a header as it is signed. */
const VALUE = /^[\x21-\x7e]+$/
/** What of the environment changes what the SDK makes of an endpoint of one's own. */
const TWISTS = [
  'AWS_PROFILE',
  'AWS_USE_FIPS_ENDPOINT',
  'AWS_USE_DUALSTACK_ENDPOINT',
  'AWS_SIGV4A_SIGNING_REGION_SET',
]

/**
 * The answer of the SDK's rules and of its chain of credentials where both are plain to see: an endpoint that was
 * named, asked by path; credentials (or none wanted) and region in the flags or the environment. undefined: the SDK
 * has to be asked, whose loading and first steps take 80 ms. A test holds this against the SDK's own answers.
 */
export function ordinary(bucket: string, settings: S3Settings, env: NodeJS.ProcessEnv): Ordinary | undefined {
  const { endpointUrl, noSignRequest, profile, requestPayer, expectedBucketOwner } = settings
  const region = settings.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION)
  if (endpointUrl === undefined || profile !== undefined || TWISTS.some((name) => env[name])) return undefined
  if (!usesPathStyle(bucket, settings) || !BUCKET.test(bucket) || RESERVED.test(bucket)) return undefined
  if (region === undefined || !/^[a-z0-9-]{1,63}$/.test(region)) return undefined
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = env
  if (!noSignRequest && (!accessKeyId || !secretAccessKey)) return undefined
  const values = [accessKeyId, AWS_SESSION_TOKEN, expectedBucketOwner]
  if (values.some((value) => value && !VALUE.test(value))) return undefined
  const url = new URL(endpointUrl)
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '' || url.username !== '') return undefined
  if (!/^[a-z0-9.-]+$/.test(url.hostname)) return undefined
  const secure = url.protocol === 'https:'
  const headers: Record<string, string> = {}
  if (requestPayer) headers['x-amz-request-payer'] = 'requester'
  if (expectedBucketOwner !== undefined) headers['x-amz-expected-bucket-owner'] = expectedBucketOwner
  return {
    secure,
    host: url.hostname,
    port: url.port === '' ? (secure ? 443 : 80) : Number(url.port),
    authority: url.host,
    base: `/${bucket}/`,
    headers,
    region,
    credentials:
      noSignRequest || !accessKeyId || !secretAccessKey
        ? undefined
        : {
            accessKeyId,
            secretAccessKey,
            sessionToken: AWS_SESSION_TOKEN || undefined,
            expiresAt: undefined,
          },
  }
}
