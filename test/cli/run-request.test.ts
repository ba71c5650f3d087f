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
  const { code: name, exit } = JSON.parse(stdout)
  assert.deepEqual([name, exit], ['STUCK', 137])
})

for (const [how, way] of [
  ['clean', 'in its own cleanup'],
  ['block', 'with the thread that has the timers'],
] as const) {
  test(`a command that waits for the dead disk ${way} is ended as well, after a grace`, async (t) => {
    const { code, stderr } = await onDeadDisk(t, how).ended
    assert.equal(code, 137)
    assert.match(stderr, /^longshore: STUCK: \/mnt\/dead: the disk has not answered for 60 s/m)
  })
}

test('a command that says what it did not do beside a dead disk ends as one that was killed', async (t) => {
  const { code, stdout, stderr } = await onDeadDisk(t, 'report').ended
  assert.equal(code, 137)
  assert.match(stderr, /^longshore: STUCK: /m)
  const { type, exit } = JSON.parse(stdout)
  assert.deepEqual([type, exit], ['summary', 137])
})

test('a command whose disk has answered again ends in order, with a status of its own', async (t) => {
  const { code, stdout, stderr } = await onDeadDisk(t, 'mend').ended
  assert.deepEqual([code, JSON.parse(stdout).exit, stderr], [3, 3, ''])
})

test('a command that outlives a dead disk is left alone as long as it goes on, and ended when it can not exit', async (t) => {
  const { code, stdout, stderr } = await onDeadDisk(t, 'outlive').ended
  assert.match(stderr, /^went on\nlongshore: STUCK: /m)
  assert.deepEqual([code, JSON.parse(stdout).exit], [137, 137])
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
