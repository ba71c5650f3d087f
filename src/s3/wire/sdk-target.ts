import type { S3Client } from '@aws-sdk/client-s3'
import { commonInput } from '../input.ts'
import type { Ordinary } from '../ordinary.ts'
import { GetObjectCommand } from '../sdk.ts'
import type { Session } from '../send.ts'
import type { NoWire, WireCredentials, WireTarget } from './types.ts'

/** Where a bucket's requests are sent and how they are signed. */
type Reach = Pick<WireTarget, 'secure' | 'host' | 'port' | 'authority' | 'base' | 'headers'> & {
  /** Of the signature; undefined: the client's own */
  region: string | undefined
}

/** What every GET and every PUT of a part may carry beside what the signer knows. */
const HEADERS = new Set(['x-amz-request-payer', 'x-amz-expected-bucket-owner'])

/** Of each client, what its endpoint rules said: they are asked once. */
const REACHES = new WeakMap<S3Client, Reach | NoWire>()
/** … and when its credentials were last renewed before their time, ms since the epoch. */
const RENEWALS = new WeakMap<S3Client, number>()

const NOT_FOUND: NoWire = { reason: 'no endpoint' }
/** Credentials that end sooner are renewed: the SDK's own limit. ms */
const NEAR_END_MS = 300_000
/** A provider that has no longer ones to give is not asked again before this has passed. ms */
const RENEW_EVERY_MS = 20_000

/** What the SDK's endpoint rules say of the bucket, and who its chain of credentials says we are. */
export async function sdkTarget(
  session: Session,
): Promise<(Ordinary & Pick<WireTarget, 'clockOffset'>) | NoWire> {
  const client = await session.client()
  let credentials: WireCredentials | undefined
  if (!session.settings.noSignRequest) {
    try {
      credentials = await credentialsOf(client)
    } catch {
      // It is the SDK lane that says what is wrong with them.
      return { reason: 'no credentials' }
    }
  }
  const reach = REACHES.get(client) ?? (await askReach(session, client))
  // A failure to find out may pass: only an answer is kept.
  if (reach !== NOT_FOUND) REACHES.set(client, reach)
  if ('reason' in reach) return reach
  return {
    ...reach,
    region: reach.region ?? (await client.config.region()),
    credentials,
    clockOffset: steady(client.config.systemClockOffset),
  }
}

/** The SDK measures it anew with each answer, by a header of whole seconds; S3 bears 15 minutes. */
function steady(offset: number): number {
  return Math.abs(offset) < 60_000 ? 0 : Math.round(offset / 10_000) * 10_000
}

async function credentialsOf(client: S3Client): Promise<WireCredentials> {
  const provide = client.config.credentials
  let found = await provide()
  const left = (found.expiration?.getTime() ?? Number.POSITIVE_INFINITY) - Date.now()
  if (left < NEAR_END_MS && Date.now() - (RENEWALS.get(client) ?? 0) >= RENEW_EVERY_MS) {
    RENEWALS.set(client, Date.now())
    // The SDK would give the old ones and renew in the background: nobody would come back for those.
    found = await provide({ forceRefresh: true }).catch(() => found)
  }
  const { accessKeyId, secretAccessKey, sessionToken, expiration } = found
  return { accessKeyId, secretAccessKey, sessionToken, expiresAt: expiration?.getTime() }
}

/** Lets the SDK make the request of a key named `k`, up to where it would sign it. */
async function askReach(session: Session, client: S3Client): Promise<Reach | NoWire> {
  let found: Reach | NoWire = NOT_FOUND
  const stack = client.middlewareStack.clone()
  const stop = new Error('not sent')
  stack.add(
    (_next, context) => async (args) => {
      found = readReach(context.endpointV2?.properties?.authSchemes, args.request)
      throw stop
    },
    { step: 'build', priority: 'high', name: 'longshoreReach' },
  )
  const command = new GetObjectCommand({ ...commonInput(session), Key: 'k' })
  try {
    await command.resolveMiddleware(stack, client.config, {})(command)
  } catch (error) {
    // The rules refuse this bucket: its requests fail in the SDK lane, which says why.
    if (error !== stop) return NOT_FOUND
  }
  return found
}

function readReach(schemes: unknown, request: unknown): Reach | NoWire {
  const [scheme] = Array.isArray(schemes) ? schemes : []
  const { name, signingName, signingRegion } = fieldsOf(scheme)
  if (name !== 'sigv4') return { reason: typeof name === 'string' ? name : 'no auth scheme' }
  if (signingName !== undefined && signingName !== 's3') return { reason: `signed for ${signingName}` }
  const { protocol, hostname, port, path, headers } = fieldsOf(request)
  if (typeof hostname !== 'string' || typeof path !== 'string') return NOT_FOUND
  if (!path.endsWith('/k') || Object.keys(fieldsOf(fieldsOf(request).query)).some((q) => q !== 'x-id'))
    return { reason: 'an odd path' }
  const extra: Record<string, string> = {}
  for (const [header, value] of Object.entries(fieldsOf(headers))) {
    if (!HEADERS.has(header) || typeof value !== 'string') return { reason: `header ${header}` }
    extra[header] = value
  }
  const secure = protocol === 'https:'
  const named = typeof port === 'number' ? port : undefined
  return {
    secure,
    host: hostname.replace(/^\[|\]$/g, ''),
    port: named ?? (secure ? 443 : 80),
    authority: named === undefined ? hostname : `${hostname}:${named}`,
    base: path.slice(0, -1),
    headers: extra,
    region: typeof signingRegion === 'string' ? signingRegion : undefined,
  }
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
