import assert from 'node:assert/strict'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CommandContext } from '../../src/commands/context.ts'
import { type RestoreReport, restore as restoreInto } from '../../src/commands/restore.ts'
import { type SyncOptions, type SyncReport, sync } from '../../src/commands/sync.ts'
import { type CliResult, collect, jsonLines, startCli } from '../support/cli.ts'
import { type TestServer, withDevServer } from '../support/devserver.ts'
import { contextFor, restoreOptions } from '../support/real-run.ts'
import { putTree } from '../support/sidecar.ts'
import { tempDir } from '../support/tmp.ts'
import { writeTensorflow } from '../sync/layouts/tensorflow-writer.ts'

const FAST = ['--settle', '100ms', '--scan-interval', '50ms', '--json']

function start(server: TestServer, dir: string, args: readonly string[], command: readonly string[] = []) {
  const tail = command.length > 0 ? ['--', ...command] : []
  const child = startCli(['sync', dir, `${server.root}/run/`, ...FAST, ...args, ...tail], { env: server.env })
  child.stdin.on('error', () => undefined)
  const done = collect(child)
  return { child, done, says: says(child) }
}

/** Waits until the child's output matches. */
function says(child: ChildProcessWithoutNullStreams): (pattern: RegExp) => Promise<void> {
  let text = ''
  const watchers = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      text += chunk
      for (const watcher of [...watchers]) watcher()
    })
  }
  return (pattern) =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        if (!pattern.test(text)) return
        watchers.delete(check)
        resolve()
      }
      watchers.add(check)
      child.once('close', () => reject(new Error(`ended without ${pattern}: ${text}`)))
      check()
    })
}

const committed = (name: string): RegExp => new RegExp(`"kind":"committed"[^\n]*"name":"${name}"`)

function summary(result: CliResult): Record<string, unknown> {
  return jsonLines(result.stdout).at(-1) ?? assert.fail(result.stderr)
}

/** Not by the command line: that has its own tests, and each start costs half a second. */
function restore(
  server: TestServer,
  dir: string,
  changed: { step?: string; list?: boolean } = {},
): Promise<RestoreReport> {
  return restoreInto(restoreOptions(`${server.root}/run/`, dir, changed), contextFor(server))
}

/** In this process, for what needs none of its own. */
function syncHere(
  server: TestServer,
  dir: string,
  changed: Partial<SyncOptions> = {},
  context: Partial<CommandContext> = {},
): Promise<SyncReport> {
  const destination = changed.destination ?? `${server.root}/run/`
  const options = { once: true, layout: 'auto', settle: 100, scanInterval: 50, also: [] } as const
  return sync(
    { dir, destination, unsafeSingleWriter: false, ...options, ...changed, also: [] },
    contextFor(server, context),
  )
}

test('SIGTERM commits what is complete, exits 0, and a fresh folder restores the same bytes', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const run = start(server, dir, [])
  putTree(dir, { 'c-1/a': 'one', 'c-1/sub/ü =\n.bin': 'x'.repeat(100_000), 'c-1/empty': '' })
  await run.says(committed('c-1'))
  putTree(dir, { 'c-2/a': 'two' })
  run.child.kill('SIGTERM')
  const result = await run.done
  assert.equal(result.code, 0, result.stderr)
  assert.deepEqual(summary(result).pending, [])
  const fresh = tempDir(t)
  await restore(server, fresh, { step: 'c-1' })
  for (const path of ['c-1/a', 'c-1/sub/ü =\n.bin', 'c-1/empty']) {
    assert.deepEqual(readFileSync(join(fresh, path)), readFileSync(join(dir, path)), path)
  }
  assert.equal((await restore(server, tempDir(t))).checkpoint?.name, 'c-2')
})

test('a drain that runs out of time exits 75 with the names, and the next run commits them', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  server.server.faults.add({ match: { key: /^run\/c-/ }, do: { kind: 'status', status: 503 } })
  const run = start(server, dir, ['--drain-timeout', '300ms'])
  putTree(dir, { 'c-1/a': 'one' })
  await run.says(/"kind":"staged"/)
  run.child.kill('SIGTERM')
  const result = await run.done
  assert.equal(result.code, 75, result.stderr)
  assert.deepEqual(summary(result).pending, ['c-1'])
  server.server.faults.clear()
  rmSync(join(dir, 'c-1'), { recursive: true })
  assert.equal((await syncHere(server, dir)).exit, 0)
  assert.equal((await restore(server, tempDir(t))).checkpoint?.name, 'c-1')
})

test("with CMD its status is the command's, and what it wrote last is committed after it", async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const script = `mkdir -p ${dir}/c-7 && echo seven > ${dir}/c-7/a && exit 3`
  const result = await start(server, dir, ['--settle', '1h'], ['sh', '-c', script]).done
  assert.equal(result.code, 3, result.stderr)
  assert.equal((await restore(server, tempDir(t))).checkpoint?.step, 7)
})

test('with CMD that succeeds and a drain that does not the status is 75', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  server.server.faults.add({ match: { key: /^run\/c-/ }, do: { kind: 'status', status: 503 } })
  const script = `mkdir ${dir}/c-1 && echo one > ${dir}/c-1/a`
  const command = ['sh', '-c', script]
  const report = await syncHere(server, dir, { once: false, drainTimeout: 500, command })
  assert.equal(report.exit, 75)
  assert.deepEqual(report.pending, ['c-1'])
})

test('a signal is for CMD: what it saves on SIGTERM is committed before longshore ends', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const script = `trap 'mkdir ${dir}/c-9; echo last > ${dir}/c-9/a; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done`
  const run = start(server, dir, [], ['sh', '-c', script])
  await run.says(/ready/)
  run.child.kill('SIGTERM')
  const result = await run.done
  assert.equal(result.code, 0, result.stderr)
  assert.equal((await restore(server, tempDir(t))).checkpoint?.name, 'c-9')
})

test('a second sidecar on the folder exits 6 and starts no CMD; the first one goes on', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const first = start(server, dir, [])
  putTree(dir, { 'c-1/a': 'one' })
  await first.says(committed('c-1'))
  await assert.rejects(syncHere(server, dir), { code: 'LOCKED', exit: 6 })
  // Not hours of training beside a sidecar that may write elsewhere, or is about to end.
  const command = ['touch', join(dir, 'started')]
  const beside = syncHere(server, dir, { once: false, command, drainTimeout: 1000 })
  await assert.rejects(beside, { code: 'LOCKED', exit: 6 })
  assert.equal(existsSync(join(dir, 'started')), false)
  first.child.kill('SIGTERM')
  assert.equal((await first.done).code, 0)
})

test('a dry run says what would be committed and writes nothing anywhere', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'one' })
  const report = await syncHere(server, dir, {}, { dryRun: true })
  assert.equal(report.exit, 0)
  assert.deepEqual(report.pending, ['c-1'])
  assert.deepEqual(readdirSync(dir), ['c-1'])
  assert.equal(
    server.server.requests.all().some((request) => ['PUT', 'POST', 'DELETE'].includes(request.method)),
    false,
  )
})

test('with every fifth request failing, everything is committed all the same', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  server.server.faults.add({ match: { every: 5 }, do: { kind: 'status', status: 500 } })
  server.server.faults.add({ match: { every: 7, method: 'PUT' }, do: { kind: 'lost-answer' } })
  const run = start(server, dir, [])
  for (let n = 1; n <= 3; n++) {
    putTree(dir, { [`c-${n}/a`]: `body ${n}`, [`c-${n}/b`]: 'y'.repeat(n * 1000) })
    await run.says(committed(`c-${n}`))
  }
  run.child.kill('SIGTERM')
  const result = await run.done
  assert.equal(result.code, 0, result.stderr)
  server.server.faults.clear()
  const { listed } = await restore(server, tempDir(t), { list: true })
  assert.deepEqual(
    listed.map((each) => each.name),
    ['c-3', 'c-2', 'c-1'],
  )
})

test('killed with kill -9 again and again, it commits every checkpoint that was complete, each once and whole', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  let kept: string[] = []
  const saved = new Map<string, Buffer>()
  for (let n = 1; n <= 3; n++) {
    const name = `ckpt-${n}`
    const run = start(server, dir, [])
    for (const step of writeTensorflow(name, { before: kept, remove: kept })) step(dir)
    saved.set(name, readFileSync(join(dir, `${name}.data-00000-of-00001`)))
    kept = [name]
    // Somewhere between the first sight of it and the end of its commit.
    // More moments, at random: test/interop/kill.test.ts.
    if (n === 3) await run.says(/"kind":"layout"/)
    else if (n === 1) await run.says(/"kind":"staged"/)
    else await run.says(committed(name))
    await new Promise((resolve) => setTimeout(resolve, (n * 37) % 20))
    run.child.kill('SIGKILL')
    await run.done
  }
  assert.equal((await syncHere(server, dir)).exit, 0)
  const { listed } = await restore(server, tempDir(t), { list: true })
  const names = listed.map((each) => each.name)
  assert.equal(names[0], 'ckpt-3', 'the newest is the last one')
  assert.equal(new Set(names).size, names.length, 'each once')
  for (const must of ['ckpt-1', 'ckpt-2']) assert.ok(names.includes(must), `${must} of ${names}`)
  for (const name of names) {
    const fresh = tempDir(t)
    await restore(server, fresh, { step: name })
    assert.deepEqual(readFileSync(join(fresh, `${name}.data-00000-of-00001`)), saved.get(name))
    assert.match(
      readFileSync(join(fresh, 'checkpoint'), 'utf8'),
      new RegExp(`^model_checkpoint_path: "${name}"`),
    )
  }
})

test('what restore brought into DIR is not uploaded again', async (t) => {
  const server = await withDevServer(t)
  const first = tempDir(t)
  putTree(first, { 'c-1/a': 'one' })
  assert.equal((await syncHere(server, first)).exit, 0)
  const second = tempDir(t)
  await restore(server, second)
  const report = await syncHere(server, second)
  assert.deepEqual([report.exit, report.committed], [0, []])
})

test('options that contradict each other are refused before anything is asked of the store', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const wrong: Partial<SyncOptions>[] = [
    { layout: 'marker' },
    { layout: 'settle', marker: 'DONE' },
    { keepEvery: 5 },
    { once: true, command: ['true'] },
  ]
  for (const options of wrong) {
    await assert.rejects(syncHere(server, dir, options), { code: 'USAGE', exit: 2 })
  }
  assert.equal(existsSync(join(dir, '.longshore')), false)
  assert.equal(server.server.requests.count(), 0)
})

test('a bucket that does not exist ends it at once, and CMD is not started', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const command = ['touch', join(dir, 'started')]
  const none = syncHere(server, dir, { once: false, destination: 's3://no-such-bucket/run/', command })
  await assert.rejects(none, { code: 'NO_BUCKET', exit: 2 })
  assert.equal(existsSync(join(dir, 'started')), false)
})

test('SIGTERM before the destination has answered is 75: nothing was looked at, so nothing is known', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  putTree(dir, { 'c-1/a': 'one' })
  server.server.faults.add({ match: { key: /probe/ }, do: { kind: 'delay', ms: 60_000 } })
  const run = start(server, dir, [])
  // The log's list and the probe's have been answered; the probe's first PUT never is.
  while (server.server.requests.all().length < 2) await new Promise((resolve) => setTimeout(resolve, 20))
  run.child.kill('SIGTERM')
  const result = await run.done
  assert.equal(result.code, 75, result.stderr)
  assert.equal(summary(result).code, 'NOT_DRAINED')
})

test('a drain that is shorter than --settle is 75, and names what was still settling', async (t) => {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const run = start(server, dir, ['--settle', '1h', '--drain-timeout', '200ms'])
  putTree(dir, { 'c-1/a': 'one' })
  await run.says(/"kind":"layout"/)
  run.child.kill('SIGTERM')
  const result = await run.done
  assert.equal(result.code, 75, result.stderr)
  assert.deepEqual(summary(result).pending, ['c-1'])
})
