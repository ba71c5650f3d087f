import { readFileSync } from 'node:fs'
import { withDevServer } from '../support/devserver.ts'
import { conformance } from './suite.ts'

for (const tls of [false, true]) {
  conformance({
    name: `the dev server over ${tls ? 'https' : 'http'}`,
    async open() {
      const cleanups: (() => void | Promise<void>)[] = []
      const { server, bucket, settings } = await withDevServer(
        { after: (remove) => cleanups.push(remove) },
        { tls },
      )
      return {
        target: {
          endpoint: server.url,
          bucket,
          region: 'us-east-1',
          accessKeyId: 'longshore',
          secretAccessKey: 'longshore-secret',
          ca: settings.caBundle === undefined ? undefined : readFileSync(settings.caBundle, 'utf8'),
        },
        async close() {
          for (const remove of cleanups) await remove()
        },
      }
    },
  })
}
