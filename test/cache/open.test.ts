import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import fsPromises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import path from 'node:path'
import { test } from 'node:test'
import { openCache } from '../../src/cache/open.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { tempDir } from '../support/tmp.ts'

const mode = (file: string): number => statSync(file).mode & 0o7777

test('a cache is made with the modes of its kind, whatever the umask', async (t) => {
  const dir = tempDir(t)
  const umask = process.umask(0o077)
  t.after(() => process.umask(umask))
  for (const [kind, folder, file] of [
    ['private', 0o700, 0o600],
    ['group', 0o2775, 0o664],
    ['shared', 0o755, 0o644],
  ] as const) {
    const cacheDir = path.join(dir, kind, 'cache')
    await openCache({ cacheDir, mode: kind, env: {}, create: true })
    assert.equal(mode(cacheDir), folder)
    assert.equal(mode(path.join(cacheDir, '.longshore')), folder)
    assert.equal(mode(path.join(cacheDir, '.longshore', 'ready')), folder)
    assert.equal(mode(path.join(cacheDir, '.longshore', 'cache.json')), file)
  }
  assert.equal(mode(path.join(dir, 'shared/cache/.longshore/leases')), 0o1777, 'readers may lease')
  assert.equal(mode(path.join(dir, 'shared/cache/.longshore/locks')), 0o755, 'and lock nothing else')
})

test('a cache keeps the mode it was made with', async (t) => {
  const cacheDir = path.join(tempDir(t), 'c')
  await openCache({ cacheDir, mode: 'group', env: {}, create: true })
  const again = await openCache({ cacheDir, mode: 'private', env: {}, create: true })
  assert.equal(again.mode, 'group')
  assert.deepEqual(
    readdirSync(path.join(cacheDir, '.longshore')).filter((n) => n.startsWith('cache.json')),
    ['cache.json'],
  )
})

test('two processes that make one cache agree on it', async (t) => {
  const cacheDir = path.join(tempDir(t), 'c')
  const made = await Promise.all(
    (['group', 'shared', 'private'] as const).map((mode) =>
      openCache({ cacheDir, mode, env: {}, create: true }),
    ),
  )
  assert.equal(new Set(made.map((c) => c.mode)).size, 1)
})

test('the default is XDG_CACHE_HOME, then HOME, and without either it is a usage error', async (t) => {
  const dir = tempDir(t)
  const open = (env: Record<string, string>) => openCache({ mode: 'private', env, create: true })
  // A temporary folder on an overlay filesystem is refused as a default; that has a test of its own.
  const root = async (env: Record<string, string>) =>
    open(env).then(
      (c) => c.root,
      (e) => (isLongshoreError(e, 'UNSUPPORTED') ? e.path : Promise.reject(e)),
    )
  assert.equal(await root({ XDG_CACHE_HOME: path.join(dir, 'x'), HOME: dir }), path.join(dir, 'x/longshore'))
  assert.equal(await root({ XDG_CACHE_HOME: 'relative', HOME: dir }), path.join(dir, '.cache/longshore'))
  await assert.rejects(open({}), (e) => isLongshoreError(e, 'USAGE') && e.hint?.includes('--cache-dir'))
})

test('a folder without a cache is not one unless it is to be made, and looking changes nothing', async (t) => {
  const dir = tempDir(t)
  writeFileSync(path.join(dir, 'mine.txt'), 'mine')
  const open = (create: boolean, readOnly: boolean) =>
    openCache({ cacheDir: dir, mode: 'private', env: {}, create, readOnly })
  for (const [create, readOnly] of [
    [false, false],
    [false, true],
    [true, true],
  ] as const) {
    await assert.rejects(open(create, readOnly), (e) => isLongshoreError(e, 'NOT_FOUND') && e.path === dir)
  }
  assert.deepEqual(readdirSync(dir), ['mine.txt'])
  await open(true, false)
  assert.equal(readFileSync(path.join(dir, 'mine.txt'), 'utf8'), 'mine')
})

test('a cache of a newer longshore is left alone, a garbled mark is named', async (t) => {
  const cacheDir = path.join(tempDir(t), 'c')
  const open = () => openCache({ cacheDir, mode: 'private', env: {}, create: true })
  await open()
  const mark = path.join(cacheDir, '.longshore', 'cache.json')
  writeFileSync(mark, JSON.stringify({ format: 'longshore-cache', version: 2, mode: 'private', more: 1 }))
  await assert.rejects(open(), (e) => isLongshoreError(e, 'UNSUPPORTED') && e.path === mark)
  writeFileSync(mark, '{"format":')
  await assert.rejects(open(), (e) => isLongshoreError(e, 'LOCAL_IO') && e.path === mark)
})

test('a file in place of the folder, or above it, is named', async (t) => {
  const dir = tempDir(t)
  writeFileSync(path.join(dir, 'f'), '')
  for (const cacheDir of [path.join(dir, 'f'), path.join(dir, 'f', 'below')]) {
    await assert.rejects(
      openCache({ cacheDir, mode: 'private', env: {}, create: true }),
      (e) => isLongshoreError(e, 'LOCAL_IO') && e.message.includes(path.join(dir, 'f')),
    )
  }
})

test('folders of the state that are missing are made again', async (t) => {
  const cacheDir = path.join(tempDir(t), 'c')
  const cache = await openCache({ cacheDir, mode: 'private', env: {}, create: true })
  const { rmdirSync } = await import('node:fs')
  rmdirSync(path.join(cache.state, 'trash'))
  await openCache({ cacheDir, mode: 'private', env: {}, create: true })
  assert.ok(existsSync(path.join(cache.state, 'trash')))
  mkdirSync(path.join(cache.state, 'x'))
})

test('a network or overlay filesystem is refused as a default, and warned of once where it is named', async (t) => {
  const dir = tempDir(t)
  const real = fsPromises.statfs
  t.mock.method(fsPromises, 'statfs', async (at: string) => ({ ...(await real(at)), type: 0x6969 }))
  syncBuiltinESMExports()
  t.after(() => {
    t.mock.restoreAll()
    syncBuiltinESMExports()
  })
  const warnings: string[] = []
  const more = { mode: 'private', create: true, warn: (m: string) => void warnings.push(m) } as const
  await assert.rejects(
    openCache({ ...more, env: { HOME: dir } }),
    (e) => isLongshoreError(e, 'UNSUPPORTED') && /NFS/.test(e.message),
  )
  assert.deepEqual(warnings, [])
  const cache = await openCache({ ...more, env: {}, cacheDir: path.join(dir, 'c') })
  assert.equal(cache.unfit, 'NFS')
  assert.equal(warnings.length, 1)
  assert.match(warnings[0] ?? '', /is on NFS/)
})

test('a state folder on another filesystem is refused before anything is fetched', async (t) => {
  const dir = tempDir(t)
  if (!existsSync('/dev/shm') || statSync('/dev/shm').dev === statSync(dir).dev)
    return t.skip('one filesystem')
  const elsewhere = mkdtempSync('/dev/shm/longshore-test-')
  t.after(() => rmSync(elsewhere, { recursive: true }))
  symlinkSync(elsewhere, path.join(dir, '.longshore'))
  await assert.rejects(
    openCache({ cacheDir: dir, mode: 'private', env: {}, create: true }),
    (e) => isLongshoreError(e, 'UNSUPPORTED') && /another filesystem/.test(e.message),
  )
})
