import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { createScanner, type Scanner } from '../../src/sync/scan.ts'
import { filesOf, folderAt, type Tree } from '../../src/sync/scan-tree.ts'
import { tempDir } from '../support/tmp.ts'

/** A scanner whose clock the test moves: 1,000 ms a pass. */
function clocked(dir: string, options: { onOdd?: (path: string, why: string) => void } = {}) {
  let at = 0
  const scanner = createScanner(dir, { ...options, now: () => at })
  return {
    scanner,
    async pass(ms = 1_000, scan: Parameters<Scanner['scan']>[0] = {}): Promise<Tree> {
      at += ms
      const tree = await scanner.scan(scan)
      assert.ok(tree)
      return tree
    },
  }
}

const paths = (tree: Tree): string[] => [...filesOf(tree.root)].map((file) => file.path).sort()
const changedAt = (tree: Tree, path: string): number | undefined =>
  [...filesOf(tree.root)].find((file) => file.path === path)?.record.changedAt

test('a burst of 5,000 files is seen whole, without any event', async (t) => {
  const dir = tempDir(t)
  const { pass } = clocked(dir)
  await pass()
  for (let folder = 0; folder < 10; folder++) {
    mkdirSync(join(dir, `d${folder}`))
    for (let file = 0; file < 500; file++) writeFileSync(join(dir, `d${folder}`, `f${file}`), 'x')
  }
  assert.equal(paths(await pass()).length, 5_000)
})

test('a file that is written to in place is noticed while its folder stands still', async (t) => {
  const dir = tempDir(t)
  const { pass } = clocked(dir)
  writeFileSync(join(dir, 'a'), 'one')
  await pass()
  await pass()
  writeFileSync(join(dir, 'a'), 'longer')
  const tree = await pass()
  assert.equal(changedAt(tree, 'a'), tree.at)
})

test('an edit that keeps size and mtime is noticed by its ctime', async (t) => {
  const dir = tempDir(t)
  const { pass } = clocked(dir)
  const path = join(dir, 'a')
  writeFileSync(path, 'one')
  utimesSync(path, 1, 1)
  await pass()
  await pass()
  await new Promise((resolve) => setTimeout(resolve, 20))
  writeFileSync(path, 'two')
  utimesSync(path, 1, 1)
  const tree = await pass()
  assert.equal(changedAt(tree, 'a'), tree.at)
})

test('our own hard links, and names that the writer removes, are no change of a file', async (t) => {
  const dir = tempDir(t)
  const { pass, scanner } = clocked(dir)
  writeFileSync(join(dir, 'a'), 'one')
  const first = await pass()
  const outside = join(tempDir(t), 'held')
  linkSync(join(dir, 'a'), outside)
  assert.equal(changedAt(await pass(), 'a'), first.at)
  await new Promise((resolve) => setTimeout(resolve, 20))
  linkSync(join(dir, 'a'), `${outside}2`)
  unlinkSync(`${outside}2`)
  await scanner.absorb('a')
  assert.equal(changedAt(await pass(), 'a'), first.at)
})

test('in a cold folder files are looked at once a minute, or when a candidate wants it', async (t) => {
  const dir = tempDir(t)
  const { pass } = clocked(dir)
  mkdirSync(join(dir, 'd'))
  writeFileSync(join(dir, 'd', 'a'), 'one')
  await pass()
  const cold = await pass(40_000)
  assert.notEqual(folderAt(cold, 'd')?.freshAt, cold.at)
  const hot = await pass(1_000, { hot: new Set(['d']) })
  assert.equal(folderAt(hot, 'd')?.freshAt, hot.at)
  const full = await pass(60_000)
  assert.equal(folderAt(full, 'd')?.freshAt, full.at)
})

test('removed and renamed files and folders leave the tree, also when one becomes the other', async (t) => {
  const dir = tempDir(t)
  const { pass } = clocked(dir)
  mkdirSync(join(dir, 'd', 'e'), { recursive: true })
  writeFileSync(join(dir, 'd', 'e', 'a'), '')
  writeFileSync(join(dir, 'b'), '')
  assert.deepEqual(paths(await pass()), ['b', 'd/e/a'])
  renameSync(join(dir, 'd', 'e'), join(dir, 'f'))
  rmSync(join(dir, 'b'))
  mkdirSync(join(dir, 'b'))
  writeFileSync(join(dir, 'b', 'c'), '')
  rmSync(join(dir, 'd'), { recursive: true })
  writeFileSync(join(dir, 'd'), '')
  assert.deepEqual(paths(await pass()), ['b/c', 'd', 'f/a'])
})

test("longshore's own folder is not looked into", async (t) => {
  const dir = tempDir(t)
  mkdirSync(join(dir, '.longshore', 'stage'), { recursive: true })
  writeFileSync(join(dir, '.longshore', 'stage', 'x'), '')
  mkdirSync(join(dir, 'sub', '.longshore'), { recursive: true })
  writeFileSync(join(dir, 'sub', '.longshore', 'y'), '')
  assert.deepEqual(paths(await clocked(dir).pass()), ['sub/.longshore/y'])
})

test('links inside DIR are kept as links, loops included; what leads out is told once and left out', async (t) => {
  const dir = tempDir(t)
  const odd: string[] = []
  const { pass } = clocked(dir, { onOdd: (path, why) => odd.push(`${path} ${why}`) })
  mkdirSync(join(dir, 'sub'))
  symlinkSync('sub', join(dir, 'latest'))
  symlinkSync(join(dir, 'sub'), join(dir, 'sub', 'absolute'))
  symlinkSync('loop', join(dir, 'loop'))
  symlinkSync('../../outside', join(dir, 'sub', 'escape'))
  symlinkSync('/etc', join(dir, 'etc'))
  const tree = await pass()
  await pass()
  const links = Object.fromEntries([...filesOf(tree.root)].map((file) => [file.path, file.record.symlink]))
  assert.deepEqual(links, { latest: 'sub', 'sub/absolute': '.', loop: 'loop' })
  assert.deepEqual(odd.map((line) => line.split(' ')[0]).sort(), ['etc', 'sub/escape'])
})

test('pipes and sockets are told once; odd names and empty files are files like any other', async (t) => {
  const dir = tempDir(t)
  const odd: string[] = []
  const { pass } = clocked(dir, { onOdd: (path, why) => odd.push(`${path}: ${why}`) })
  execFileSync('mkfifo', [join(dir, 'pipe')])
  const server = createServer().listen(join(dir, 'sock'))
  t.after(() => server.close())
  await new Promise((resolve) => server.once('listening', resolve))
  const names = ['new\nline', 'ünï=code 🚢', ' space ', '-rf', 'quote"\'']
  for (const name of names) writeFileSync(join(dir, name), '')
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'latin')
  assert.deepEqual(paths(await pass()), names.sort())
  await pass()
  assert.equal(odd.length, 3)
  assert.match(odd.join('\n'), /pipe: is a named pipe/)
  assert.match(odd.join('\n'), /sock: is a socket/)
  assert.match(odd.join('\n'), /not UTF-8/)
})

test('DIR that is missing, comes, goes and comes again is followed; a file in its place is refused', async (t) => {
  const dir = join(tempDir(t), 'later')
  const scanner = createScanner(dir)
  assert.equal(await scanner.scan(), undefined)
  mkdirSync(dir)
  writeFileSync(join(dir, 'a'), '')
  assert.deepEqual(paths((await scanner.scan()) ?? assert.fail()), ['a'])
  rmSync(dir, { recursive: true })
  assert.equal(await scanner.scan(), undefined)
  mkdirSync(dir)
  assert.deepEqual(paths((await scanner.scan()) ?? assert.fail()), [])
  rmSync(dir, { recursive: true })
  writeFileSync(dir, '')
  await assert.rejects(scanner.scan(), { code: 'LOCAL_IO' })
})

test('a folder that may not be read makes its content unjudged, and is told', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root reads everything')
  const dir = tempDir(t)
  const odd: string[] = []
  const { pass } = clocked(dir, { onOdd: (path) => odd.push(path) })
  mkdirSync(join(dir, 'secret'), { mode: 0o000 })
  t.after(() => chmodSync(join(dir, 'secret'), 0o700))
  const tree = await pass()
  assert.equal(folderAt(tree, 'secret')?.unreadable, true)
  assert.deepEqual(odd, ['secret'])
})
