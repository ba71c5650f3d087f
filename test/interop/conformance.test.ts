import { SEAWEEDFS_QUIRKS, VERSITYGW_QUIRKS } from '../conformance/real-quirks.ts'
import { conformance } from '../conformance/suite.ts'
import { type RealServer, startSeaweedfs, startVersitygw } from './support/servers.ts'

/** A missing tool fails in CI; on a user's machine the whole suite is skipped with the reason. */
async function skipReason(start: () => Promise<RealServer>): Promise<string | undefined> {
  if (process.env.CI) return undefined
  try {
    await (await start()).stop()
    return undefined
  } catch (error) {
    return `not to be had here: ${(error as Error).message}`
  }
}

function opener(start: () => Promise<RealServer>, keepAlive = true) {
  return async () => {
    const server = await start()
    return {
      target: {
        endpoint: server.url,
        bucket: server.bucket,
        region: 'us-east-1',
        accessKeyId: server.env.AWS_ACCESS_KEY_ID ?? '',
        secretAccessKey: server.env.AWS_SECRET_ACCESS_KEY ?? '',
        keepAlive,
      },
      close: () => server.stop(),
    }
  }
}

conformance({
  name: 'SeaweedFS 4.48',
  open: opener(startSeaweedfs),
  skip: await skipReason(startSeaweedfs),
  quirks: SEAWEEDFS_QUIRKS,
})

conformance({
  name: 'versitygw 1.8.0',
  // After a refused PUT it answers the next request on that connection with 400, now and then.
  open: opener(startVersitygw, false),
  skip: await skipReason(startVersitygw),
  quirks: VERSITYGW_QUIRKS,
})
