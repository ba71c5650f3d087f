import { createHash } from 'node:crypto'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import type { WireHandler } from './handler.ts'
import { usesPathStyle } from './path-style.ts'
import { S3Client } from './sdk.ts'
import type { S3Settings } from './settings.ts'

/** Asked for by name on regions that nobody gave: every S3 compatible takes it, and AWS tells the right one. */
const FALLBACK_REGION = 'us-east-1'

/** Shared with the client's middleware: what was learned about the store since. */
export interface Learned {
  /** The store refused checksum headers: none are sent any more. */
  noChecksums: boolean
}

/**
 * The SDK's client over our own handler: it signs, knows endpoints and parses; it does not retry (src/s3/send.ts
 * does), does not checksum (we do, natively) and prints nothing.
 */
export async function makeClient(about: {
  bucket: string
  settings: S3Settings
  env: NodeJS.ProcessEnv
  handler: WireHandler
  learned: Learned
  region?: string | undefined
  /** ms, as an earlier client learned it */
  clockOffset?: number | undefined
}): Promise<S3Client> {
  const { settings, env, handler, learned } = about
  const region = about.region ?? settings.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined)
  const config: S3ClientConfig = {
    requestHandler: handler,
    maxAttempts: 1,
    retryStrategy: ONE_ATTEMPT,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    // Found by src/s3/endpoint.ts: the SDK must not find another one than the cache's folders are named after.
    ignoreConfiguredEndpointUrls: true,
    forcePathStyle: usesPathStyle(about.bucket, settings),
    systemClockOffset: about.clockOffset ?? 0,
    ...identity(settings, env),
    ...(settings.endpointUrl === undefined ? {} : { endpoint: settings.endpointUrl }),
    ...(settings.profile === undefined ? {} : { profile: settings.profile }),
    ...(region === undefined ? {} : { region }),
  }
  const client = quietly(() => new S3Client(config))
  if (region === undefined && !(await hasRegion(client))) {
    return makeClient({ ...about, region: FALLBACK_REGION })
  }
  addMiddleware(client, learned)
  limitCredentials(client, settings.timeoutMs)
  return client
}

/** The SDK waits for a provider (a process, STS, a metadata service) as long as that pleases: it gets a deadline. */
function limitCredentials(client: S3Client, timeoutMs: number): void {
  const provide = client.config.credentials
  const inTime: typeof provide = (options) =>
    new Promise((resolve, reject) => {
      const silent = Object.assign(new Error(`their provider has not answered for ${timeoutMs / 1000} s`), {
        name: 'CredentialsProviderError',
      })
      const timer = setTimeout(() => reject(silent), timeoutMs)
      const done = () => clearTimeout(timer)
      provide(options).then(resolve, reject).finally(done)
    })
  client.config.credentials = Object.assign(inTime, {
    memoized: true,
    configBound: true,
    attributed: true,
  })
}

/** Two attempts in a row would hide the first failure from our own retry, which knows more about it. */
const ONE_ATTEMPT = {
  mode: 'standard',
  acquireInitialRetryToken: async () => ({
    getRetryCount: () => 0,
    getRetryDelay: () => 0,
    getRetryCost: () => 0,
  }),
  refreshRetryTokenForRetry: async () => {
    throw new Error('one attempt')
  },
  recordSuccess() {},
}

function identity(settings: S3Settings, env: NodeJS.ProcessEnv): Partial<S3ClientConfig> {
  if (settings.noSignRequest) {
    return {
      credentials: { accessKeyId: 'anonymous', secretAccessKey: 'anonymous' },
      signer: { sign: async (request) => request },
    }
  }
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = env
  // The chain reads process.env; the environment we were given comes first, as the chain would have it.
  if (settings.profile !== undefined || env.AWS_PROFILE || !accessKeyId || !secretAccessKey) return {}
  const sessionToken = AWS_SESSION_TOKEN ? { sessionToken: AWS_SESSION_TOKEN } : {}
  return { credentials: { accessKeyId, secretAccessKey, ...sessionToken } }
}

async function hasRegion(client: S3Client): Promise<boolean> {
  try {
    return (await client.config.region()) !== ''
  } catch {
    return false
  }
}

/**
 * The SDK warns on process.emitWarning about Node versions it will drop, once, while a client is made. The
 * variable that turns this off is its own; it is set for that moment only, so that CMD does not inherit it.
 */
function quietly<T>(make: () => T): T {
  const name = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'
  const before = process.env[name]
  process.env[name] = 'true'
  try {
    return make()
  } finally {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
}

interface WithHeaders {
  headers: Record<string, string>
  body?: unknown
}

function hasHeaders(request: unknown): request is WithHeaders {
  return typeof request === 'object' && request !== null && 'headers' in request
}

function addMiddleware(client: S3Client, learned: Learned): void {
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const { request } = args
      if (hasHeaders(request)) {
        const whole = context.commandName === 'GetObjectCommand' && request.headers.range === undefined
        // Asked by header, not by the SDK's ChecksumMode: it would sum the body itself, in JavaScript.
        if (whole && !learned.noChecksums) request.headers['x-amz-checksum-mode'] = 'ENABLED'
        if (learned.noChecksums) dropChecksums(request)
        // Older compatibles know this header only, and S3 takes it beside the CRC.
        if (context.commandName === 'DeleteObjectsCommand') addMd5(request)
      }
      return next(args)
    },
    { step: 'build', priority: 'low', name: 'longshoreHeaders' },
  )
}

function dropChecksums(request: WithHeaders): void {
  for (const name of Object.keys(request.headers)) {
    if (/^x-amz-(checksum-|sdk-checksum-|trailer)/i.test(name)) delete request.headers[name]
  }
}

function addMd5(request: WithHeaders): void {
  const { body } = request
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) return
  request.headers['content-md5'] = createHash('md5').update(body).digest('base64')
}
