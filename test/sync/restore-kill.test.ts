import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
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

test('a restore killed at any moment shows nothing half, and a rerun keeps all that was fetched', async (t) => {
  const dir = tempDir(t)
  const server = await withDevServer(t, { dir, undisturbed: 'it counts the requests sent' })
  const from = tempDir(t)
  const writer = await openRealWriter(t, server, { dir: from, prefix: 'r/' })
  await commitStaged(
    writer,
    await makeCheckpoint(from, { name: 'c1', ordinal: 1, files, pointers: { latest: 'c1' } }),
  )
  const source = `${server.root}/r/`
  // The same bucket behind another door: requests that outlive the killed child are not taken for the rerun's.
  const doomed = await withDevServer(t, { dir, undisturbed: 'the kill is the fault' })
  // Slow enough to be met in the middle.
  doomed.server.faults.add({ match: { operation: 'GetObject', key: /part-/ }, do: { kind: 'delay', ms: 60 } })
  const survived: number[] = []
  for (const moment of [0, 2, 6]) {
    const to = tempDir(t)
    const told = await runAndKill([source, to, doomed.server.url], { env: doomed.env, afterParts: moment })
    const ended = existsSync(join(to, 'c1'))
    if (ended) checkWhole(to)
    const there = ended ? parts() : survivors(to)
    assert.ok(there.length >= told, `${there.length} parts survived of ${told} that the restore told of`)
    survived.push(there.length)
    server.server.requests.clear()
    const report = await restore(restoreOptions(source, to), contextFor(server))
    const asked = server.server.requests.all().flatMap(({ key, range }) => partOf(key, range) ?? [])
    assert.deepEqual([...new Set([...asked, ...there])].sort(), parts())
    assert.deepEqual(
      asked.filter((part) => there.includes(part)),
      [],
      'fetched again though it was there',
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
  assert.ok((survived.at(-1) ?? 0) >= 6)
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

/** All there is to fetch: three ranges of the large file, and five small files. */
function parts(): string[] {
  return ['0@0', '0@8388608', '0@16777216', '1@0', '2@0', '3@0', '4@0', '5@0'].sort()
}

function partOf(key: string, range: string | undefined): string | undefined {
  const name = /part-(\d)$/.exec(key)?.[1]
  return name && `${name}@${/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0}`
}

/** What the kill left: files of their size, and lines in the journal of the large one. */
function survivors(to: string): string[] {
  const found = readdirSync(to, { recursive: true, encoding: 'utf8' })
  const whole = found.flatMap((path) => {
    const [, name = '', number] = /\/files\/(c1\/part-(\d))$/.exec(path) ?? []
    return number && statSync(join(to, path)).size === files[name]?.length ? [number] : []
  })
  const journal = found.find((path) => path.endsWith('.ranges'))
  const lines = journal ? readFileSync(join(to, journal), 'utf8').trimEnd().split('\n').slice(1) : []
  const ranges = lines.map((line) => `0@${/\d+/.exec(line)?.[0]}`)
  return parts().filter((part) => whole.includes(part.charAt(0)) || ranges.includes(part))
}

/** SIGKILL once so many parts are told of; a child that ended before is as good. Gives how many were told of. */
async function runAndKill(
  args: string[],
  options: { env: Record<string, string>; afterParts: number },
): Promise<number> {
  const child: ChildProcess = spawn(process.execPath, ['--import', 'tsx', CHILD, ...args], {
    env: options.env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  const told = () => text.match(/^done [1-9]\d*\n/gm)?.length ?? 0
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
    if (text.includes('fetch\n') && told() >= options.afterParts) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return told()
}
