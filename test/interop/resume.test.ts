import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { collect, jsonLines, runCli, startCli } from '../support/cli.ts'
import { tempDir } from '../support/tmp.ts'
import { inParallel, openBucket, sha256 } from './support/bucket.ts'
import { bytesOf } from './support/samples.ts'
import { startSeaweedfs, startVersitygw } from './support/servers.ts'
import { orSkip } from './support/tools.ts'

/** The first tells the checksums of parts that are up; the second does not, so longshore writes them down. */
const SERVERS = { versitygw: startVersitygw, SeaweedFS: startSeaweedfs }
const MIB = 1024 * 1024

for (const [name, start] of Object.entries(SERVERS)) {
  test(`${name}: pack killed within a shard goes on with the parts that are up, and leaves no upload open`, async (t) => {
    const server = await orSkip(t, start)
    if (!server) return
    t.after(() => server.stop())
    const bucket = await openBucket(server)
    t.after(() => bucket.close())
    await inParallel(Array(44).keys(), 8, (i) => bucket.put(`raw/s${i}.bin`, bytesOf(`${i}`, MIB + i)))
    // The pace makes time and bytes go together: there are parts up whenever it is killed.
    const args = (to: string) => [
      ...['pack', 's3://test/raw/', `s3://test/${to}/`, '--shard-size', '64MiB'],
      ...['--bwlimit', '32MiB/s', '--memory', '16MiB', '--concurrency', '4', '--json', '-q'],
    ]
    const cli = (to: string) => runCli(args(to), { env: server.env, cwd: tempDir(t) })
    const undisturbed = await cli('undisturbed')
    assert.equal(undisturbed.code, 0, undisturbed.stderr)
    const wanted = sha256(await bucket.get('undisturbed/train-000000.tar'))

    const settings = { ...S3_DEFAULTS, endpointUrl: server.url, region: 'us-east-1' }
    const at = { kind: 's3', bucket: server.bucket, prefix: '' } as const
    const { store } = await openStore(at, settings, { env: server.env })
    t.after(() => store.close())
    const partsUp = async (key: string): Promise<number> => {
      for await (const { uploadId } of store.listUploads(key))
        return (await store.listParts(key, uploadId))?.length ?? 0
      return 0
    }
    for (const parts of [1, 3]) {
      const to = `killed-${parts}`
      const child = startCli(args(to), { env: server.env, cwd: tempDir(t) })
      const ended = collect(child)
      while (child.exitCode === null && (await partsUp(`${to}/train-000000.tar`)) < parts) await sleep(20)
      assert.ok(child.kill('SIGKILL'), 'it is killed before its end')
      await ended
      const again = await cli(to)
      assert.equal(again.code, 0, again.stderr)
      // A part whose sums were still on their way is fetched again.
      const { keptParts } = jsonLines(again.stdout).at(-1) ?? {}
      assert.ok(
        Number(keptParts) >= parts - 1 && (parts === 1 || Number(keptParts) > 0),
        `${keptParts} of ${parts}`,
      )
      assert.equal(sha256(await bucket.get(`${to}/train-000000.tar`)), wanted)
    }
    assert.equal(await bucket.openUploads(), 0)
  })
}
