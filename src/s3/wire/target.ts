import { proxyFor } from '../proxy.ts'
import type { Session } from '../send.ts'
import type { NoWire, WireTarget } from './types.ts'

/**
 * How the wire lane reaches the session's bucket at this moment. Nothing is sent for it, except what the provider of
 * credentials does to renew those that end within 5 minutes. What the wire does not speak comes back as a reason.
 * This is for the main thread: it may have to ask the SDK.
 */
export async function wireTarget(session: Session): Promise<WireTarget | NoWire> {
  const { bucket, url, settings, learned, ca, env } = session
  const plain = session.ordinary()
  const found = plain ? { ...plain, clockOffset: 0 } : await askSdk(session)
  if ('reason' in found) return found
  const proxy = proxied(found, env)
  if (proxy !== undefined) return proxy
  const { secure, host, port, authority, base, headers, region, credentials, clockOffset } = found
  return {
    ...{ url, bucket, endpoint: settings.endpointUrl },
    ...{ secure, host, port, authority, base, headers, region, credentials, clockOffset },
    ...{ noChecksums: learned.noChecksums, ca, rejectUnauthorized: !settings.noVerifySsl },
    ...{ timeoutMs: settings.timeoutMs, retries: settings.retries },
  }
}

async function askSdk(session: Session) {
  const sdk = await import('./sdk-target.ts')
  return sdk.sdkTarget(session)
}

function proxied(
  { secure, authority }: Pick<WireTarget, 'secure' | 'authority'>,
  env: NodeJS.ProcessEnv,
): NoWire | undefined {
  try {
    const url = new URL(`${secure ? 'https' : 'http'}://${authority}`)
    return proxyFor(url, env) === undefined ? undefined : { reason: 'proxy' }
  } catch {
    // Named wrongly: a configuration error that the SDK lane tells.
    return { reason: 'proxy' }
  }
}
