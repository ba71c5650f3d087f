import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { runCli } from '../support/cli.ts'
import { tempDir } from '../support/tmp.ts'
import { openBucket } from './support/bucket.ts'
import { startSeaweedfs } from './support/servers.ts'
import { orSkip, python } from './support/tools.ts'

const exec = promisify(execFile)
const script = (name: string) => join(import.meta.dirname, 'python', name)

test('what CheckpointManager writes while sync runs beside it is loaded by TensorFlow from a fresh, restored folder', async (t) => {
  const interpreter = await orSkip(t, () => python('tensorflow'))
  const server = interpreter && (await orSkip(t, startSeaweedfs))
  if (!interpreter || !server) return
  t.after(() => server.stop())
  const dir = await tempDir(t)
  const bucket = await openBucket(server)
  t.after(() => bucket.close())
  const written = join(dir, 'written')
  const fresh = join(dir, 'fresh')
  const runs = `s3://${server.bucket}/runs/r1/`

  // The writer's rotation (three are kept) races the sidecar for all of the run.
  const trainer = [interpreter, script('tensorflow_write.py'), written, '8', '0.4']
  const synced = await runCli(['sync', written, runs, '--layout', 'tensorflow', '--', ...trainer], {
    env: server.env,
    cwd: dir,
  })
  assert.equal(synced.code, 0, synced.stderr)
  assert.equal(await bucket.openUploads(), 0)

  const restored = await runCli(['restore', runs, fresh], { env: server.env, cwd: dir })
  assert.equal(restored.code, 0, restored.stderr)
  assert.equal(restored.stdout.trim(), join(fresh, 'ckpt-8'))

  const { stdout } = await exec(interpreter, [script('tensorflow_read.py'), fresh])
  assert.equal(stdout.trim(), `ckpt-8 step=8 sum=${512 * 1024 * 8}`)

  // A second attempt goes on from there: what was restored is known, and not uploaded again.
  const second = [interpreter, script('tensorflow_write.py'), fresh, '2']
  const resumed = await runCli(['sync', fresh, runs, '--json', '--', ...second], {
    env: server.env,
    cwd: dir,
  })
  assert.equal(resumed.code, 0, resumed.stderr)
  const listed = await runCli(['restore', runs, fresh, '--list', '--json'], { env: server.env, cwd: dir })
  assert.equal(listed.code, 0, listed.stderr)
})
