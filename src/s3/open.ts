import { localStore } from './local-store.ts'
import type { S3Settings } from './settings.ts'
import type { ObjectStore } from './store.ts'
import type { Location } from './uri.ts'

export interface OpenStoreOptions {
  /** Environment: credentials, region and proxies are taken from here. */
  env: NodeJS.ProcessEnv
  signal?: AbortSignal | undefined
  /** Every retry of the store, in words, for reports. */
  onRetry?: ((reason: string) => void) | undefined
}

/** Opens a location as a store; the prefix is what keys below it begin with. The caller closes the store. */
export async function openStore(
  location: Location,
  settings: S3Settings,
  options: OpenStoreOptions,
): Promise<{ store: ObjectStore; prefix: string }> {
  if (location.kind === 'local') return { store: localStore(location.root), prefix: '' }
  // Loaded late: client-s3 takes 200 ms, and a local run needs none of it.
  const { s3Store } = await import('./s3-store.ts')
  return { store: await s3Store(location.bucket, settings, options), prefix: location.prefix }
}
