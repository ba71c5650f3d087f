import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { collect } from '../support/cli.ts'
import { tempDir } from '../support/tmp.ts'

const CHILD = fileURLToPath(new URL('../support/stuck-child.ts', import.meta.url))

/** A command whose process has a thread in the kernel that does not come back: node can't exit any more. */
function onDeadDisk(t: TestContext, how: string) {
  const fifo = join(tempDir(t), 'fifo')
  execFileSync('mkfifo', [fifo])
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, fifo, how], {
    env: { PATH: process.env.PATH },
  })
  const timer = setTimeout(() => child.kill('SIGABRT'), 30_000)
  t.after(() => clearTimeout(timer))
  return { child, ended: collect(child) }
}

test('a command that is STUCK says so and ends, though its disk never answers', async (t) => {
  const { code, stdout, stderr } = await onDeadDisk(t, 'throw').ended
  assert.equal(code, 137)
  assert.match(stderr, /^longshore: STUCK: \/mnt\/dead: the disk has not answered for 60 s/m)
  assert.equal(JSON.parse(stdout).code, 'STUCK')
})

test('beside a dead disk further signals end what the second one could not', async (t) => {
  const { child, ended } = onDeadDisk(t, 'wait')
  await once(child.stdout, 'data')
  // One soon after another is taken for its echo: on a busy machine it takes more than three.
  while (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM')
    await sleep(500)
  }
  assert.equal((await ended).code, 143)
})
