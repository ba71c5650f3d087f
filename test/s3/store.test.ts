import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { storeContract } from './store-contract.ts'

storeContract({
  name: 'bucket',
  open: async (t) => {
    const { settings, env } = await withDevServer(t)
    const { store } = await openStore({ kind: 's3', bucket: 'test', prefix: '' }, settings, { env })
    t.after(() => store.close())
    return store
  },
})

storeContract({
  name: 'folder',
  open: async (t) => {
    const { store } = await openStore({ kind: 'local', root: tempDir(t) }, S3_DEFAULTS, { env: {} })
    return store
  },
})
