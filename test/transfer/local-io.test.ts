import assert from 'node:assert/strict'
import fs, { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLocalIo } from '../../src/transfer/local-io.ts'
import { tempDir } from '../support/tmp.ts'

const STUCK_MS = 30_000
const small = Buffer.from('a small file')

function placeIn(dir: string, name: string, more: { durable?: boolean; mode?: number } = {}) {
  return { temp: join(dir, 'temp'), path: join(dir, name), mode: 0o640, durable: false, ...more }
}

test('a small file is there when the call returns, if another thread watches this one', async (t) => {
  const dir = tempDir(t)
  const told: (string | undefined)[] = []
  const io = openLocalIo({ stuckMs: STUCK_MS, sync: true, onSync: (path) => told.push(path) })
  const place = placeIn(dir, 'x')
  const writing = io.writeWhole(place, small)
  assert.ok(readFileSync(place.path).equals(small))
  await writing
  assert.deepEqual(told, [place.path, undefined])
  assert.deepEqual(readdirSync(dir), ['x'])
})

test('nothing is written synchronously that may take long, or where nobody watches', async (t) => {
  const dir = tempDir(t)
  const watched = openLocalIo({ stuckMs: STUCK_MS, sync: true })
  const alone = openLocalIo({ stuckMs: STUCK_MS })
  const large = Buffer.alloc(2 * 1024 * 1024)
  for (const [io, name, bytes, durable] of [
    [watched, 'durable', small, true],
    [watched, 'large', large, false],
    [alone, 'alone', small, false],
  ] as const) {
    const place = placeIn(dir, name, { durable })
    const writing = io.writeWhole(place, bytes)
    assert.ok(!existsSync(place.path), name)
    await writing
    assert.ok(readFileSync(place.path).equals(bytes), name)
  }
})

test('a file has the mode it was given, whatever the umask, however it is written', async (t) => {
  const dir = tempDir(t)
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  for (const sync of [true, false]) {
    const io = openLocalIo({ stuckMs: STUCK_MS, sync })
    const place = placeIn(dir, `x-${sync}`, { mode: 0o444 })
    await io.writeWhole(place, small)
    assert.equal(statSync(place.path).mode & 0o777, 0o444)
  }
})

test('a temporary file that a killed run left is replaced, and one that fails leaves none', async (t) => {
  for (const sync of [true, false]) {
    const dir = tempDir(t)
    const told: (string | undefined)[] = []
    const io = openLocalIo({ stuckMs: STUCK_MS, sync, onSync: (path) => told.push(path) })
    const place = placeIn(dir, 'x')
    writeFileSync(place.temp, 'what a killed run left, longer than the file')
    await io.writeWhole(place, small)
    assert.ok(readFileSync(place.path).equals(small))
    mkdirSync(join(dir, 'folder', 'full'), { recursive: true })
    const onFolder = placeIn(dir, 'folder')
    await assert.rejects(io.writeWhole(onFolder, small), { code: 'KEY_CONFLICT', path: onFolder.path })
    const nowhere = { ...placeIn(dir, 'y'), temp: join(dir, 'none', 'temp') }
    await assert.rejects(io.writeWhole(nowhere, small), { code: 'NOT_FOUND', path: nowhere.temp })
    assert.deepEqual(readdirSync(dir).sort(), ['folder', 'x'])
    assert.equal(told.at(-1), undefined)
  }
})

test('on a slow disk files go to the pool, and later the disk is tried again', async (t) => {
  const dir = tempDir(t)
  let now = 0
  let step = 5
  t.mock.method(performance, 'now', () => {
    now += step
    return now
  })
  const io = openLocalIo({ stuckMs: STUCK_MS, sync: true })
  const atOnce: boolean[] = []
  for (let n = 0; n < 300; n++) {
    const place = placeIn(dir, String(n))
    const writing = io.writeWhole(place, small)
    atOnce.push(existsSync(place.path))
    await writing
    if (!atOnce[n]) step = 0
  }
  const turn = atOnce.indexOf(false)
  assert.ok(turn > 0 && turn < 10, `after ${turn} files`)
  assert.equal(atOnce.lastIndexOf(false), turn + 255)
})

test('too many open files are waited out', async (t) => {
  const crowded = () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE', syscall: 'open' })
  }
  const { mock } = t.mock.method(fs, 'openSync', crowded)
  syncBuiltinESMExports()
  const place = placeIn(tempDir(t), 'x')
  const writing = openLocalIo({ stuckMs: STUCK_MS, sync: true }).writeWhole(place, small)
  mock.restore()
  syncBuiltinESMExports()
  assert.equal(mock.callCount(), 1)
  await writing
  assert.ok(readFileSync(place.path).equals(small))
})
