import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { restore } from '../../src/commands/restore.ts'
import { withDevServer } from '../support/devserver.ts'
import { commitStaged, contextFor, openRealWriter, restoreOptions } from '../support/real-run.ts'
import { makeCheckpoint } from '../support/staged.ts'
import { tempDir } from '../support/tmp.ts'

const CHILD = fileURLToPath(new URL('../support/restore-child.ts', import.meta.url))
const MIB = 1024 * 1024
const files = Object.fromEntries(
  Array.from({ length: 6 }, (_, n) => [`c1/part-${n}`, Buffer.alloc(n === 0 ? 20 * MIB : MIB, `part ${n} `)]),
)

test('a restore killed at any moment shows nothing half, and a rerun keeps what was fetched', async (t) => {
  const server = await withDevServer(t, { undisturbed: 'it counts the requests sent' })
  const from = tempDir(t)
  const writer = await openRealWriter(t, server, { dir: from, prefix: 'r/' })
  await commitStaged(
    writer,
    await makeCheckpoint(from, { name: 'c1', ordinal: 1, files, pointers: { latest: 'c1' } }),
  )
  const source = `${server.root}/r/`
  // Slow enough to be met in the middle.
  server.server.faults.add({ match: { operation: 'GetObject', key: /part-/ }, do: { kind: 'delay', ms: 60 } })
  for (const moment of [0, 2, 6]) {
    const to = tempDir(t)
    await runAndKill([source, to, server.server.url], { env: server.env, afterFiles: moment })
    if (existsSync(join(to, 'c1'))) checkWhole(to)
    // What the kill left whole: the file last told of may not have its name yet.
    const there = readdirSync(to, { recursive: true, encoding: 'utf8' }).filter((path) =>
      /(^|\/)part-[1-5]$/.test(path),
    )
    server.server.requests.clear()
    const report = await restore(restoreOptions(source, to), contextFor(server))
    const gets = server.server.requests.all().filter((request) => request.key?.includes('part-'))
    // Undisturbed: three ranges of the large file and five small files.
    assert.ok(
      gets.length <= 8 - there.length,
      `${gets.length} requests after ${there.length} parts were there`,
    )
    assert.equal(report.path, join(to, 'c1'))
    checkWhole(to)
    assert.equal(readFileSync(join(to, 'latest'), 'utf8'), 'c1')
    assert.deepEqual(readdirSync(to).sort(), ['.longshore', 'c1', 'latest'])
    assert.deepEqual(
      readdirSync(join(to, '.longshore')).filter((name) => name.startsWith('restore-')),
      [],
    )
  }
})

test('what a dead restore of another checkpoint left is removed', async (t) => {
  const server = await withDevServer(t)
  const from = tempDir(t)
  const writer = await openRealWriter(t, server, { dir: from, prefix: 'r/' })
  await commitStaged(writer, await makeCheckpoint(from, { name: 'c1', ordinal: 1, files: { 'c1/x': 'x' } }))
  const to = tempDir(t)
  const dead = join(to, '.longshore', 'restore-000000000009-aa', 'files', 'c9')
  mkdirSync(dead, { recursive: true })
  writeFileSync(join(dead, 'huge'), 'left over')
  await restore(restoreOptions(`${server.root}/r/`, to), contextFor(server))
  assert.ok(!existsSync(join(to, '.longshore', 'restore-000000000009-aa')))
})

test('two restores into one folder at once both succeed', async (t) => {
  const server = await withDevServer(t)
  const from = tempDir(t)
  const writer = await openRealWriter(t, server, { dir: from, prefix: 'r/' })
  await commitStaged(writer, await makeCheckpoint(from, { name: 'c1', ordinal: 1, files }))
  const to = tempDir(t)
  const both = [1, 2].map(() => restore(restoreOptions(`${server.root}/r/`, to), contextFor(server)))
  const reports = await Promise.all(both)
  assert.deepEqual(reports.map((report) => report.fetched.files).sort(), [0, 6])
  checkWhole(to)
})

function checkWhole(to: string): void {
  for (const [path, body] of Object.entries(files)) assert.ok(readFileSync(join(to, path)).equals(body), path)
}

/** SIGKILL once so many ranges are there; a child that ended before is as good. */
async function runAndKill(
  args: string[],
  options: { env: Record<string, string>; afterFiles: number },
): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', CHILD, ...args], {
    env: options.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    const begun = text.includes('fetch\n')
    if (begun && text.split('done ').length > options.afterFiles) child.kill('SIGKILL')
  })
  await once(child, 'exit')
}
