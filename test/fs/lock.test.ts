import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { isLongshoreError } from '../../src/errors.ts'
import { acquireLock, claim, forgetLock, isLocked, type Lock } from '../../src/fs/lock.ts'
import { listenAt } from '../../src/fs/socket.ts'
import { tempDir } from '../support/tmp.ts'

const CHILD = fileURLToPath(new URL('lock-child.ts', import.meta.url))

function child(t: TestContext, ...args: string[]): ChildProcess {
  const started = spawn(process.execPath, ['--import', 'tsx', CHILD, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => started.kill('SIGKILL'))
  return started
}

async function take(dir: string, name: string): Promise<Lock> {
  const lock = await acquireLock(dir, name, { wait: true })
  assert.ok(lock)
  return lock
}

test('a lock has one owner, and the next one gets it when it is released', async (t) => {
  const dir = tempDir(t)
  const first = await take(dir, 'a')
  assert.equal(await acquireLock(dir, 'a', { wait: false }), undefined)
  assert.equal(await isLocked(dir, 'a'), true)
  let waited = 0
  let got = false
  const second = acquireLock(dir, 'a', { wait: true, onWait: () => waited++ }).then((lock) => {
    got = true
    return lock
  })
  assert.notEqual(await acquireLock(dir, 'b', { wait: false }), undefined, 'another name is another lock')
  while (waited === 0) await new Promise((r) => setImmediate(r))
  assert.equal(got, false)
  await first.release()
  await first.release()
  const lock = await second
  assert.equal(waited, 1)
  assert.equal(await isLocked(dir, 'a'), true)
  await lock?.release()
  assert.equal(await isLocked(dir, 'a'), false)
})

test('a lock that nobody ever took, or whose folder is missing, is not locked', async (t) => {
  const dir = tempDir(t)
  assert.equal(await isLocked(dir, 'x'), false)
  assert.equal(await isLocked(path.join(dir, 'missing'), 'x'), false)
})

test('a folder that cannot hold a lock is named', async (t) => {
  const dir = path.join(tempDir(t), 'missing')
  await assert.rejects(acquireLock(dir, 'x', { wait: true }), (error) => {
    return isLongshoreError(error, 'LOCAL_IO') && error.message.includes(dir)
  })
})

test('waiting ends with the reason of the signal and leaves nothing behind', async (t) => {
  const dir = tempDir(t)
  const lock = await take(dir, 'a')
  const abort = new AbortController()
  const reason = new Error('stop')
  const waiting = acquireLock(dir, 'a', {
    wait: true,
    signal: abort.signal,
    onWait: () => abort.abort(reason),
  })
  await assert.rejects(waiting, (error) => error === reason)
  assert.deepEqual(readdirSync(dir), ['a.1'])
  await lock.release()
})

test('many turns leave a few names, and the highest is never used again', async (t) => {
  const dir = tempDir(t)
  for (let i = 1; i <= 20; i++) {
    const lock = await take(dir, 'a')
    assert.ok(readdirSync(dir).includes(`a.${i}`))
    await lock.release()
  }
  assert.ok(readdirSync(dir).length <= 6, readdirSync(dir).join(' '))
  await forgetLock(dir, 'a')
  assert.deepEqual(readdirSync(dir), [])
})

test('a contender who links a number that was tidied away meanwhile steps back', async (t) => {
  const dir = tempDir(t)
  let owner = await take(dir, 'a')
  while (readdirSync(dir).includes('a.1')) {
    await owner.release()
    owner = await take(dir, 'a')
  }
  // It looked when a.0 was the highest, and slept until now.
  const late = await listenAt(dir, 'a.late.new')
  assert.equal(await claim(dir, 'a', 1, late), 'late')
  assert.ok(!readdirSync(dir).includes('a.1'))
  const top = Math.max(...readdirSync(dir).map((n) => Number(n.split('.')[1]) || 0))
  assert.equal(await claim(dir, 'a', top, late), 'taken')
  assert.equal(await acquireLock(dir, 'a', { wait: false }), undefined, 'the owner still has it')
  await owner.release()
  assert.equal(await claim(dir, 'a', top + 1, late), 'ours')
  assert.equal(await isLocked(dir, 'a'), true)
  await late.close()
})

test('the lock of a process that was killed goes to the one who waits', async (t) => {
  const dir = tempDir(t)
  const owner = child(t, dir, 'a', 'hold')
  assert.ok(owner.stdout)
  await once(owner.stdout, 'data')
  assert.equal(await isLocked(dir, 'a'), true)
  const waiting = acquireLock(dir, 'a', { wait: true, onWait: () => owner.kill('SIGKILL') })
  const lock = await waiting
  assert.ok(lock)
  assert.ok(readdirSync(dir).includes('a.1'), 'its socket file was still there')
  await lock.release()
})

test('a path too long for a socket address is locked like any other', async (t) => {
  const dir = path.join(tempDir(t), 'd'.repeat(120), 'e'.repeat(120))
  mkdirSync(dir, { recursive: true })
  const lock = await take(dir, 'a')
  assert.equal(await isLocked(dir, 'a'), true)
  assert.equal(await acquireLock(dir, 'a', { wait: false }), undefined)
  await lock.release()
  assert.equal(await isLocked(dir, 'a'), false)
  assert.deepEqual(readdirSync(dir), ['a.1'])
})

test('eight processes that want one lock never own it together', { timeout: 60_000 }, async (t) => {
  const dir = tempDir(t)
  const counter = path.join(dir, 'counter')
  writeFileSync(counter, '0')
  const locks = path.join(dir, 'locks')
  mkdirSync(locks)
  const children = Array.from({ length: 8 }, () => child(t, locks, 'a', counter, '12'))
  const codes = await Promise.all(children.map(async (c) => (await once(c, 'exit'))[0]))
  assert.deepEqual(codes, Array(8).fill(0))
  assert.equal(readFileSync(counter, 'utf8'), String(8 * 12))
})

test('forty waiters within one process take turns', async (t) => {
  const dir = tempDir(t)
  let inside = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      const lock = await take(dir, 'a')
      most = Math.max(most, ++inside)
      await new Promise((r) => setImmediate(r))
      inside--
      await lock.release()
    }),
  )
  assert.equal(most, 1)
})
