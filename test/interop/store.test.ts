import { after, type TestContext } from 'node:test'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import type { ObjectStore } from '../../src/s3/store.ts'
import { storeContract } from '../s3/store-contract.ts'
import { type RealServer, startSeaweedfs, startVersitygw } from './support/servers.ts'
import { orSkip } from './support/tools.ts'

for (const [name, start] of [
  ['SeaweedFS', startSeaweedfs],
  ['versitygw', startVersitygw],
] as const) {
  let server: Promise<RealServer> | undefined
  after(async () => (await server?.catch(() => undefined))?.stop())
  storeContract({
    name,
    open: async (t) => {
      server ??= start()
      const started = server
      const found = await orSkip(t, () => started)
      return found === undefined ? undefined : emptyStore(t, found)
    },
  })
}

/** One server for all promises, emptied before each. */
async function emptyStore(t: TestContext, server: RealServer): Promise<ObjectStore> {
  const settings = { ...S3_DEFAULTS, endpointUrl: server.url, region: 'us-east-1' }
  const { store } = await openStore({ kind: 's3', bucket: server.bucket, prefix: '' }, settings, {
    env: server.env,
  })
  t.after(() => store.close())
  for await (const page of store.listPages({ prefix: '' })) await store.remove(page.objects.map((o) => o.key))
  for await (const upload of store.listUploads('')) await store.abortUpload(upload.key, upload.uploadId)
  return store
}
