import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { runCli } from '../support/cli.ts'
import { tempDir } from '../support/tmp.ts'
import { inParallel, openBucket, sha256 } from './support/bucket.ts'
import { oddDataset, sampleOf } from './support/samples.ts'
import { type RealServer, startSeaweedfs, startVersitygw } from './support/servers.ts'
import { orSkip, python } from './support/tools.ts'

const exec = promisify(execFile)
const SAMPLES = 1_200

for (const [name, start] of [
  ['SeaweedFS', startSeaweedfs],
  ['versitygw', startVersitygw],
] as const) {
  test(`on ${name}, packed samples read by the webdataset package equal their source objects, all of them`, async (t) => {
    const server = await orSkip(t, start)
    if (!server) return
    t.after(() => server.stop())
    const reader = await orSkip(t, () => python('webdataset'))
    if (!reader) return
    await packAndRead({ t, server, reader })
  })
}

async function packAndRead({
  t,
  server,
  reader,
}: {
  t: TestContext
  server: RealServer
  reader: string
}): Promise<void> {
  const dir = await tempDir(t)
  const bucket = await openBucket(server)
  t.after(() => bucket.close())

  const source = new Map<string, Map<string, string>>()
  const files = [...oddDataset(SAMPLES)]
  for (const { path, body } of files) {
    const { key, field } = sampleOf(path)
    const fields = source.get(key) ?? new Map<string, string>()
    source.set(key, fields.set(field, sha256(body)))
  }
  await inParallel(files, 32, ({ path, body }) => bucket.put(`raw/${path}`, body))

  const cli = (args: string[]) => runCli(args, { env: server.env, cwd: dir })
  const packed = await cli(['pack', `s3://${server.bucket}/raw/`, `s3://${server.bucket}/packed/v1/`])
  assert.equal(packed.code, 0, packed.stderr)
  assert.equal(await bucket.openUploads(), 0)

  const cache = join(dir, 'cache')
  const loaded = await cli(['preload', `s3://${server.bucket}/packed/v1/`, '--cache-dir', cache])
  assert.equal(loaded.code, 0, loaded.stderr)
  const folder = loaded.stdout.trim()
  assert.ok(folder.startsWith(cache), `stdout is the folder and nothing else: ${loaded.stdout}`)

  const script = join(import.meta.dirname, 'python', 'read_webdataset.py')
  const { stdout } = await exec(reader, [script, folder], { maxBuffer: 256 * 1024 * 1024 })
  const read = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { key: string; fields: Record<string, string> })
  assert.equal(read.length, source.size)
  for (const sample of read) {
    assert.deepEqual(sample.fields, Object.fromEntries(source.get(sample.key) ?? []), sample.key)
  }

  const plain = await cli(['preload', `s3://${server.bucket}/raw/`, '--cache-dir', cache])
  assert.equal(plain.code, 0, plain.stderr)
  for (const { path, body } of files) {
    assert.equal(sha256(await readFile(join(plain.stdout.trim(), path))), sha256(body), path)
  }

  const evicted = await cli(['evict', '--cache-dir', cache, '--max-size', '1MiB', '--grace', '0s'])
  assert.ok([0, 5].includes(evicted.code ?? -1), evicted.stderr)
}
