import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { evict } from '../../src/commands/evict.ts'
import { type PreloadOptions, preload } from '../../src/commands/preload.ts'
import { status } from '../../src/commands/status.ts'
import { isLongshoreError, LongshoreError } from '../../src/errors.ts'
import { type Progress, SILENT } from '../../src/progress.ts'
import { type TestServer, withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { contextFor, expectedTree, MIB, noise, preloadOptions, treeOf } from './support.ts'

const CHILD = fileURLToPath(new URL('preload-child.ts', import.meta.url))
const OBJECTS: Record<string, Buffer> = {
  'v/a': noise('a', 1000),
  'v/b/c': noise('c', 2000),
  'v/b/empty': Buffer.alloc(0),
  'v/large': noise('large', 9 * MIB),
  'v/y': noise('y', 3000),
  'v/z': noise('z', 4000),
}

async function scene(t: TestContext, more: Partial<PreloadOptions> = {}) {
  const dev = await withDevServer(t, { undisturbed: 'it counts requests' })
  dev.seed(OBJECTS)
  const cacheDir = tempDir(t)
  return { dev, cacheDir, options: preloadOptions([`${dev.root}/v/`], cacheDir, more) }
}

/** A run that is stopped when all files but that one are there. */
async function stopBefore(dev: TestServer, key: string, options: PreloadOptions, files = 6): Promise<void> {
  const remove = dev.server.faults.add({ match: { key, operation: 'GetObject' }, do: { kind: 'stall' } })
  const stop = new AbortController()
  let left = files - 1
  const done: Progress['done'] = ({ objects = 0 }) => {
    // The listing's objects are counted before.
    if (!fetching) return
    left -= objects
    if (left === 0) stop.abort(new LongshoreError('INTERRUPTED', 'stopped'))
  }
  let fetching = false
  const phase = (name: string) => {
    fetching = name === 'fetch'
  }
  const context = contextFor(dev, { signal: stop.signal, progress: { ...SILENT, done, phase } })
  await assert.rejects(preload(options, context), (e) => isLongshoreError(e, 'INTERRUPTED'))
  remove()
  dev.server.requests.clear()
}

function asked(dev: TestServer): string[] {
  const keys = dev.server.requests.all().flatMap((r) => (r.operation === 'GetObject' ? [r.key] : []))
  return [...new Set(keys)].filter((key) => key !== 'v/longshore.json').sort()
}

/** The tree of a version that was never whole. */
function treeIn(cacheDir: string): string {
  const staging = join(cacheDir, '.longshore/staging')
  const [id = 'none'] = readdirSync(staging)
  return join(staging, id, 'tree')
}

function placesIn(cacheDir: string): string[] {
  return readdirSync(cacheDir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /@[0-9a-f]{12}/.test(name),
  )
}

test('the folder of a first preload appears when it is whole, and not before', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  let looks = 0
  const look = () => {
    assert.deepEqual(placesIn(cacheDir), [])
    looks++
  }
  const progress = { ...SILENT, done: look, phase: look }
  await stopBefore(dev, 'v/y', options)
  look()
  const report = await preload(options, contextFor(dev, { progress }))
  const path = report.sources[0]?.path ?? ''
  assert.ok(looks > 4)
  assert.deepEqual(treeOf(path), expectedTree(OBJECTS, 'v/'))
  for (const name of ['a', 'b/empty', 'large']) assert.equal(statSync(join(path, name)).mode & 0o777, 0o400)
  for (const name of ['.', 'b']) assert.equal(statSync(join(path, name)).mode & 0o777, 0o700)
  assert.deepEqual(readdirSync(join(cacheDir, '.longshore/staging')), [])
})

test('a first preload that was killed goes on with what it had, and asks for the rest only', async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'it counts requests' })
  const objects = Object.fromEntries(
    Array.from({ length: 120 }, (_, i) => [`v/d${i % 7}/${i}`, noise(String(i), 20_000 + i)]),
  )
  dev.seed(objects)
  const cacheDir = tempDir(t)
  const options = preloadOptions([`${dev.root}/v/`], cacheDir)
  const remove = dev.server.faults.add({ match: { operation: 'GetObject' }, do: { kind: 'delay', ms: 20 } })
  const argument = JSON.stringify({ options, settings: dev.settings, env: dev.env })
  const child = spawn(process.execPath, ['--import', 'tsx', CHILD, argument], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  while (child.exitCode === null && dev.server.requests.count('GetObject') < 80) await sleep(1)
  child.kill('SIGKILL')
  await ended
  // Requests that outlive the child are its own.
  await sleep(100)
  remove()
  dev.server.requests.clear()
  assert.deepEqual(placesIn(cacheDir), [])
  const whole = Object.entries(objects).filter(([key, bytes]) => {
    const at = join(treeIn(cacheDir), key.slice('v/'.length))
    return existsSync(at) && statSync(at).size === bytes.length
  })
  assert.ok(whole.length > 20 && whole.length < 120, `${whole.length} files were there`)

  const check = await preload({ ...options, check: true }, contextFor(dev))
  assert.deepEqual([check.exit, check.sources[0]?.missing?.count], [3, 120 - whole.length])
  const report = await preload(options, contextFor(dev))
  assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(objects, 'v/'))
  assert.equal(report.sources[0]?.kept.files, whole.length)
  const kept = whole.map(([key]) => key)
  assert.deepEqual(
    asked(dev),
    Object.keys(objects)
      .filter((key) => !kept.includes(key))
      .sort(),
  )
})

test('a file that a kill tore is fetched again, and not written into', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  await stopBefore(dev, 'v/z', options)
  const torn = join(treeIn(cacheDir), 'a')
  truncateSync(torn, 400)
  chmodSync(torn, 0o400)
  // As a version that it was linked from would be.
  const other = join(tempDir(t), 'other')
  linkSync(torn, other)
  const report = await preload(options, contextFor(dev))
  const path = report.sources[0]?.path ?? ''
  assert.deepEqual(asked(dev), ['v/a', 'v/z'])
  assert.deepEqual(treeOf(path), expectedTree(OBJECTS, 'v/'))
  assert.equal(statSync(other).size, 400)
})

test('after another boot nothing unproven in an unfinished tree is kept', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  await stopBefore(dev, 'v/z', options)
  const journals = join(cacheDir, '.longshore/journals')
  writeFileSync(join(journals, readdirSync(journals)[0] ?? '', 'boot'), 'another boot')
  // Of its size, without its bytes: what a power cut leaves of a file that was not synced.
  const emptied = join(treeIn(cacheDir), 'b/c')
  chmodSync(emptied, 0o600)
  writeFileSync(emptied, Buffer.alloc(2000))
  const report = await preload(options, contextFor(dev))
  assert.deepEqual(treeOf(report.sources[0]?.path ?? ''), expectedTree(OBJECTS, 'v/'))
  // The large one was synced before it got its name.
  assert.equal(report.sources[0]?.kept.files, 1)
  assert.deepEqual(asked(dev), ['v/a', 'v/b/c', 'v/y', 'v/z'])
})

test('what a kill tore of another selection is not in the folder, and what it left whole is', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  await stopBefore(dev, 'v/z', options)
  truncateSync(join(treeIn(cacheDir), 'a'), 0)
  const part = await preload({ ...options, include: ['z'] }, contextFor(dev))
  const path = part.sources[0]?.path ?? ''
  const there = Object.keys(treeOf(path)).sort()
  assert.deepEqual(there, ['b/c', 'b/empty', 'large', 'y', 'z'])
  dev.server.requests.clear()
  const all = await preload(options, contextFor(dev))
  assert.equal(all.sources[0]?.path, path)
  assert.deepEqual(asked(dev), ['v/a'])
  assert.deepEqual(treeOf(path), expectedTree(OBJECTS, 'v/'))
})

test('another selection of a version that is READY comes file by file into its folder', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  const first = await preload({ ...options, include: ['a'] }, contextFor(dev))
  const path = first.sources[0]?.path ?? ''
  const { ino } = statSync(path)
  assert.deepEqual(Object.keys(treeOf(path)), ['a'])
  await stopBefore(dev, 'v/z', { ...options, include: ['y', 'z'] }, 2)
  assert.deepEqual(Object.keys(treeOf(path)), ['a', 'y'])
  assert.equal(existsSync(treeIn(cacheDir)), false)
  const all = await preload(options, contextFor(dev))
  assert.deepEqual(treeOf(path), expectedTree(OBJECTS, 'v/'))
  assert.equal(statSync(path).ino, ino)
  assert.equal(all.sources[0]?.kept.files, 2)
})

test('a folder that an older longshore left unfinished is finished where it is', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  const path = (await preload({ ...options, include: ['y'] }, contextFor(dev))).sources[0]?.path ?? ''
  const state = join(cacheDir, '.longshore')
  for (const id of readdirSync(join(state, 'ready'))) rmSync(join(state, 'ready', id), { recursive: true })
  const id = readdirSync(join(state, 'journals'))[0] ?? ''
  // Begun when the folder was not there, which is over.
  mkdirSync(join(state, 'staging', id, 'tree'), { recursive: true })
  writeFileSync(join(state, 'staging', id, 'tree/a'), Buffer.alloc(1000))
  const report = await preload(options, contextFor(dev))
  assert.equal(report.sources[0]?.path, path)
  assert.equal(report.sources[0]?.kept.files, 1)
  assert.deepEqual(treeOf(path), expectedTree(OBJECTS, 'v/'))
  assert.deepEqual(readdirSync(join(state, 'staging')), [])
})

test('status and evict count an unfinished tree, and evict removes it', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  await stopBefore(dev, 'v/z', options)
  const bytes = [1000, 2000, 9 * MIB, 3000].reduce((a, b) => a + b)
  const cache = { cacheDir, cacheMode: 'private' } as const
  const before = await status({ ...cache, syncDirs: [] }, contextFor(dev))
  const one = before.datasets[0]
  assert.deepEqual([before.datasets.length, one?.state, one?.files], [1, 'partial', 5])
  assert.ok((one?.bytes ?? 0) >= bytes && before.used >= bytes, `${one?.bytes} of ${bytes}`)
  // What is there takes no room a second time.
  await stopBefore(dev, 'v/z', { ...options, maxSize: { bytes: bytes + 6000 } })
  await assert.rejects(preload({ ...options, maxSize: { bytes: bytes + 3000 } }, contextFor(dev)), (e) =>
    isLongshoreError(e, 'OVER_LIMIT'),
  )
  const gone = await evict({ ...cache, maxSize: { bytes: 0 }, grace: 0 }, contextFor(dev))
  assert.equal(gone.evicted.length, 1)
  assert.ok((gone.evicted[0]?.bytes ?? 0) >= bytes)
  assert.equal(gone.after, 0)
  for (const folder of ['staging', 'journals', 'trash', 'datasets', 'usage'])
    assert.deepEqual(readdirSync(join(cacheDir, '.longshore', folder)), [], folder)
  assert.deepEqual(readdirSync(cacheDir), ['.longshore'])
})

test('unchanged files of an older version are linked into the tree, and a killed run keeps those links', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  const older = (await preload(options, contextFor(dev))).sources[0]?.path ?? ''
  const changed = { ...OBJECTS, 'v/z': noise('Z', 5000) }
  dev.seed(changed)
  await stopBefore(dev, 'v/z', options)
  assert.equal(statSync(join(treeIn(cacheDir), 'a')).nlink, 2)
  const report = await preload(options, contextFor(dev))
  const path = report.sources[0]?.path ?? ''
  assert.notEqual(path, older)
  assert.equal(report.sources[0]?.kept.files, 5)
  assert.deepEqual(treeOf(path), expectedTree(changed, 'v/'))
  assert.deepEqual(treeOf(older), expectedTree(OBJECTS, 'v/'))
  assert.ok(readFileSync(join(path, 'a')).equals(OBJECTS['v/a'] ?? Buffer.alloc(0)))
})

test('folders above a version that an evict took meanwhile are made again', async (t) => {
  const { dev, cacheDir, options } = await scene(t)
  const phase = (name: string) => {
    if (name !== 'verify') return
    const [place = ''] = readdirSync(cacheDir).filter((entry) => entry !== '.longshore')
    assert.deepEqual(readdirSync(join(cacheDir, place)), [dev.bucket])
    rmSync(join(cacheDir, place), { recursive: true })
  }
  const report = await preload(options, contextFor(dev, { progress: { ...SILENT, phase } }))
  const path = report.sources[0]?.path ?? ''
  assert.deepEqual(treeOf(path), expectedTree(OBJECTS, 'v/'))
  assert.equal(statSync(dirname(path)).mode & 0o777, 0o700)
})
