import assert from 'node:assert/strict'
import fs, {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs'
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

test('without a temporary name a file is written as itself, never into what is there, and one that fails leaves none', async (t) => {
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  for (const sync of [true, false]) {
    const dir = tempDir(t)
    const io = openLocalIo({ stuckMs: STUCK_MS, sync })
    const place = { ...placeIn(dir, 'x', { mode: 0o444 }), temp: undefined }
    const other = join(dir, 'other version')
    writeFileSync(other, 'what another name of the same file holds')
    linkSync(other, place.path)
    await io.writeWhole(place, small)
    assert.ok(readFileSync(place.path).equals(small))
    assert.equal(statSync(place.path).mode & 0o777, 0o444)
    assert.equal(readFileSync(other, 'utf8'), 'what another name of the same file holds')
    const nowhere = { ...place, path: join(dir, 'none', 'y') }
    await assert.rejects(io.writeWhole(nowhere, small), { code: 'NOT_FOUND', path: nowhere.path })
    assert.deepEqual(readdirSync(dir).sort(), ['other version', 'x'])
  }
})

test('a file has its mode before it has its size, so that a kill leaves none without', (t) => {
  const dir = tempDir(t)
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  const place = { ...placeIn(dir, 'x', { mode: 0o444 }), temp: undefined }
  const modes: number[] = []
  const write = fs.writeSync
  t.mock.method(fs, 'writeSync', (...args: Parameters<typeof write>) => {
    modes.push(statSync(place.path).mode & 0o777)
    return write(...args)
  })
  syncBuiltinESMExports()
  t.after(() => {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  })
  assert.ok(openLocalIo({ stuckMs: STUCK_MS, sync: true }).writeWholeNow(place, small))
  assert.deepEqual(modes, [0o444])
})

test('a disk that is full in the middle of a file leaves nothing of it, temporary name or not', async (t) => {
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  const dir = tempDir(t)
  t.mock.method(fs, 'writeSync', (fd: number) => {
    fs.ftruncateSync(fd, 3)
    throw full
  })
  syncBuiltinESMExports()
  t.after(() => {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  })
  const io = openLocalIo({ stuckMs: STUCK_MS, sync: true })
  for (const temp of [undefined, join(dir, 'temp')]) {
    const place = { ...placeIn(dir, 'x'), temp }
    await assert.rejects(io.writeWhole(place, small), { code: 'NO_SPACE', path: temp ?? place.path })
    assert.deepEqual(readdirSync(dir), [])
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
  assert.ok(turn > 16 && turn < 30, `after ${turn} files`)
  assert.equal(atOnce.lastIndexOf(false), turn + 255)
})

test('a large file is written as its bytes come in, by the pool while the disk is slow, and then at once again', async (t) => {
  const path = join(tempDir(t), 'large')
  writeFileSync(path, '')
  let now = 0
  let step = 20
  t.mock.method(performance, 'now', () => {
    now += step
    return now
  })
  const told: (string | undefined)[] = []
  const io = openLocalIo({ stuckMs: STUCK_MS, sync: true, onSync: (file) => told.push(file) })
  const atOnce: boolean[] = []
  for (let n = 0; n < 80; n++) {
    const file = await io.openNow(path)
    atOnce.push(file !== undefined)
    if (file === undefined) step = 0
    file?.write(n, Buffer.from('x'))
    await file?.close()
  }
  const turn = atOnce.indexOf(false)
  assert.ok(turn > 16 && turn < 40, `after ${turn} ranges`)
  assert.equal(atOnce.lastIndexOf(false), turn + 31)
  assert.deepEqual(told.slice(0, 2), [path, undefined])
  assert.equal(readFileSync(path, 'latin1').slice(0, turn), 'x'.repeat(turn))
  assert.equal(await openLocalIo({ stuckMs: STUCK_MS }).openNow(path), undefined)
  await io.closeIdle()
})

test('the ranges of a file that begin together share one open file', async (t) => {
  const path = join(tempDir(t), 'large')
  writeFileSync(path, '')
  const io = openLocalIo({ stuckMs: STUCK_MS, sync: true })
  const files = await Promise.all(Array.from({ length: 8 }, () => io.openNow(path)))
  const fds = readdirSync('/proc/self/fd').map((fd) => join('/proc/self/fd', fd))
  assert.equal(fds.filter((fd) => existsSync(fd) && readlinkSync(fd) === path).length, 1)
  for (const [n, file] of files.entries()) file?.write(n, Buffer.from(String(n)))
  for (const file of files) await file?.close()
  await io.closeIdle()
  assert.equal(readFileSync(path, 'latin1'), '01234567')
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
