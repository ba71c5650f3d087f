import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { restore } from '../../src/commands/restore.ts'
import { isLongshoreError } from '../../src/errors.ts'
import { logKey } from '../../src/manifest/checkpoint.ts'
import { SILENT } from '../../src/progress.ts'
import { openStore } from '../../src/s3/open.ts'
import { S3_DEFAULTS } from '../../src/s3/settings.ts'
import { takeOver } from '../../src/sync/epoch.ts'
import { openLog } from '../../src/sync/log.ts'
import { probeConditionalWrites } from '../../src/sync/probe.ts'
import { pickNewest } from '../../src/sync/restore-pick.ts'
import { planRestore } from '../../src/sync/restore-plan.ts'
import { retireCheckpoints } from '../../src/sync/retire.ts'
import { findCommitted, uploadCheckpoint } from '../../src/sync/upload.ts'
import { openEngine } from '../../src/transfer/engine.ts'
import { type TestServer, withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { commitStaged, contextFor, openRealWriter, restoreOptions } from '../support/real-run.ts'
import { SIGNAL } from '../support/run-log.ts'
import { makeCheckpoint, stageFile } from '../support/staged.ts'
import { tempDir } from '../support/tmp.ts'

const PREFIX = 'runs/ASHA-1/'
const large = Buffer.alloc(9 * 1024 * 1024, 'weights of a large model ')

/** A run with two checkpoints: one of large files, links and modes, and TensorFlow files beside each other. */
async function makeRun(t: TestContext, prefix = PREFIX) {
  const server = await withDevServer(t)
  const dir = tempDir(t)
  const writer = await openRealWriter(t, server, { dir, prefix })
  const first = await makeCheckpoint(dir, {
    name: 'checkpoint-1',
    ordinal: 1,
    files: {
      'checkpoint-1/model.bin': large,
      'checkpoint-1/sub/run.sh': '#!/bin/sh\n',
      'checkpoint-1/empty': '',
      'checkpoint-1/odd name\n=ü': 'odd',
      'checkpoint-1/trainer_state.json': '{}',
    },
    pointers: { latest: 'checkpoint-1' },
  })
  chmodSync(join(dir, 'checkpoint-1/sub/run.sh'), 0o755)
  first.files[1] = await stageFile(dir, 'checkpoint-1/sub/run.sh')
  first.files.push({
    ...(await stageFile(dir, 'checkpoint-1/empty')),
    path: 'checkpoint-1/last',
    symlink: 'sub/run.sh',
  })
  await commitStaged(writer, first)
  const commitSecond = async () =>
    commitStaged(
      writer,
      await makeCheckpoint(dir, {
        name: 'ckpt-2',
        ordinal: 2,
        step: 2,
        files: { 'ckpt-2.index': 'index', 'ckpt-2.data-00000-of-00001': 'data of 2' },
        pointers: { checkpoint: 'model_checkpoint_path: "ckpt-2"\n' },
      }),
    )
  return { server, dir, writer, source: `${server.root}/${prefix}`, commitSecond }
}

const target = (t: TestContext) => join(tempDir(t), 'not', 'there', 'yet')

function tree(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .filter((path) => !path.startsWith('.longshore'))
    .sort()
}

test('the newest checkpoint comes back byte for byte, with modes, links and pointers, and nothing else', async (t) => {
  const { server, dir, source } = await makeRun(t)
  const to = target(t)
  const report = await restore(restoreOptions(source, to), contextFor(server))
  assert.equal(report.path, join(to, 'checkpoint-1'))
  assert.equal(report.checkpoint?.name, 'checkpoint-1')
  assert.deepEqual([report.files, report.fetched.files, report.checks], [7, 5, { crc32: 5 }])
  for (const path of tree(join(to, 'checkpoint-1'))) {
    const [a, b] = [join(to, 'checkpoint-1', path), join(dir, 'checkpoint-1', path)]
    if (path === 'last') assert.equal(readlinkSync(a), 'sub/run.sh')
    else if (path !== 'sub') assert.ok(readFileSync(a).equals(readFileSync(b)), path)
  }
  assert.equal(lstatSync(join(to, 'checkpoint-1/sub/run.sh')).mode & 0o777, 0o755)
  assert.equal(readFileSync(join(to, 'latest'), 'utf8'), 'checkpoint-1')
  assert.deepEqual(readdirSync(to).sort(), ['.longshore', 'checkpoint-1', 'latest'])
  assert.deepEqual(
    readdirSync(join(to, '.longshore')).filter((name) => name.startsWith('restore-')),
    [],
  )
})

test('a TensorFlow checkpoint is named by the path its files begin with; again is free', async (t) => {
  const { server, source, commitSecond } = await makeRun(t)
  await commitSecond()
  const to = target(t)
  const report = await restore(restoreOptions(source, to), contextFor(server))
  assert.equal(report.path, join(to, 'ckpt-2'))
  assert.deepEqual(tree(to), ['checkpoint', 'ckpt-2.data-00000-of-00001', 'ckpt-2.index'])
  const before = lstatSync(join(to, 'ckpt-2.index')).ino
  const again = await restore(restoreOptions(source, to), contextFor(server))
  assert.deepEqual([again.fetched.files, again.kept.files], [0, 2])
  assert.equal(lstatSync(join(to, 'ckpt-2.index')).ino, before)
})

test('a step or a name chooses; --list tells all, newest first; a dry run moves nothing', async (t) => {
  const { server, source, commitSecond } = await makeRun(t)
  await commitSecond()
  const listed = await restore(restoreOptions(source, '', { list: true }), contextFor(server))
  assert.deepEqual(
    listed.listed.map((c) => [c.name, c.step, c.files]),
    [
      ['ckpt-2', 2, 3],
      ['checkpoint-1', 1, 7],
    ],
  )
  const to = target(t)
  const dry = await restore(restoreOptions(source, to, { step: 1 }), contextFor(server, { dryRun: true }))
  assert.equal(dry.estimate?.bytes, large.length + 10 + 3 + 2)
  assert.ok(!existsSync(to))
  const named = await restore(restoreOptions(source, to, { step: 'checkpoint-1' }), contextFor(server))
  assert.equal(named.checkpoint?.seq, 2)
  const wrong = restore(restoreOptions(source, to, { step: 7, allowNone: true }), contextFor(server))
  await assert.rejects(wrong, (error) => isLongshoreError(error, 'NOT_FOUND'))
})

test('a prefix is a folder: ASHA-1 is not restored from ASHA-10, and a first attempt has nothing', async (t) => {
  const { server } = await makeRun(t, 'runs/ASHA-10/')
  const to = target(t)
  for (const source of [`${server.root}/runs/ASHA-1`, `${server.root}/runs/ASHA-1/`]) {
    await assert.rejects(
      restore(restoreOptions(source, to), contextFor(server)),
      (error) => isLongshoreError(error, 'NOTHING_TO_RESTORE') && error.exit === 3,
    )
    const report = await restore(restoreOptions(source, to, { allowNone: true }), contextFor(server))
    assert.deepEqual([report.path, report.exit], [undefined, 0])
  }
  assert.ok(!existsSync(to))
})

test('existing files: identical ones stay, a differing one fails before anything moves, or is replaced', async (t) => {
  const { server, source, commitSecond } = await makeRun(t)
  await commitSecond()
  const to = tempDir(t)
  writeFileSync(join(to, 'ckpt-2.index'), 'inDEX')
  writeFileSync(join(to, 'mine'), 'mine')
  for (const ifExists of ['skip', 'fail'] as const) {
    await assert.rejects(
      restore(restoreOptions(source, to, { ifExists }), contextFor(server)),
      (error) => isLongshoreError(error, 'DIFFERS') && error.path === join(to, 'ckpt-2.index'),
    )
  }
  assert.deepEqual(tree(to), ['ckpt-2.index', 'mine'])
  writeFileSync(join(to, 'ckpt-2.data-00000-of-00001'), 'data of 2')
  const report = await restore(restoreOptions(source, to, { ifExists: 'replace' }), contextFor(server))
  assert.deepEqual([report.fetched.files, report.kept.files], [1, 1])
  assert.equal(readFileSync(join(to, 'ckpt-2.index'), 'utf8'), 'index')
  assert.equal(readFileSync(join(to, 'mine'), 'utf8'), 'mine')
})

test('a pointer that names another checkpoint is moved, so that the trainer loads this one', async (t) => {
  const { server, source, commitSecond } = await makeRun(t)
  await commitSecond()
  const to = tempDir(t)
  writeFileSync(join(to, 'checkpoint'), 'model_checkpoint_path: "ckpt-9"\n')
  await restore(restoreOptions(source, to), contextFor(server))
  assert.match(readFileSync(join(to, 'checkpoint'), 'utf8'), /ckpt-2/)
})

/** Rewrites record `seq` in the bucket, as an attacker or a bug would. */
function forge(server: TestServer, seq: number, change: (record: Record<string, unknown>) => void): void {
  const key = PREFIX + logKey(seq)
  const path = server.server.objects.get(server.bucket, key)
  const record = JSON.parse(Buffer.from(path ?? '').toString()) as Record<string, unknown>
  change(record)
  server.seed({ [key]: JSON.stringify(record) })
}

test('a folder with a link beside it appears as a whole, and the link moves on as a pointer does', async (t) => {
  const { server, dir, writer, source } = await makeRun(t)
  const staged = await makeCheckpoint(dir, { name: 'c-9', ordinal: 9, files: { 'c-9/a': 'nine' } })
  const [file] = staged.files
  assert.ok(file)
  staged.files.push({ ...file, path: 'latest.link', symlink: 'c-9', size: 0 })
  await commitStaged(writer, staged)
  const to = tempDir(t)
  symlinkSync('checkpoint-1', join(to, 'latest.link'))
  await restore(restoreOptions(source, to), contextFor(server))
  assert.equal(readlinkSync(join(to, 'latest.link')), 'c-9')
  assert.equal(readFileSync(join(to, 'c-9/a'), 'utf8'), 'nine')
  const record = await pickNewest(writer, { signal: SIGNAL })
  assert.equal(record && planRestore(record, source).folder, 'c-9')
  const careful = restore(restoreOptions(source, to, { ifExists: 'fail' }), contextFor(server))
  await assert.rejects(careful, (error) => isLongshoreError(error, 'DIFFERS'))
})

test('a record that would write outside the folder, or through a link, is refused and nothing is written', async (t) => {
  const { server, source } = await makeRun(t)
  const data = { size: 1, mode: 0o644, crc32: '00000000' }
  const cases: unknown[][] = [
    [{ ...data, path: '../../etc/passwd' }],
    [{ ...data, path: '/etc/passwd' }],
    [{ mode: 0o777, path: 'checkpoint-1/x', symlink: '../../..' }],
    [{ mode: 0o777, path: 'checkpoint-1/x', symlink: '/etc' }],
    [
      { mode: 0o777, path: 'checkpoint-1/x', symlink: 'y' },
      { ...data, path: 'checkpoint-1/x/passwd' },
    ],
    [
      { ...data, path: 'a' },
      { ...data, path: 'a/b' },
    ],
    [
      { ...data, path: 'a' },
      { ...data, path: 'a' },
    ],
  ]
  for (const files of cases) {
    forge(server, 2, (record) => Object.assign(record, { files, pointers: [] }))
    const to = target(t)
    await assert.rejects(
      restore(restoreOptions(source, to), contextFor(server)),
      (error) => isLongshoreError(error, 'BAD_MANIFEST') && error.exit === 4,
      JSON.stringify(files),
    )
    assert.ok(!existsSync(to))
  }
})

test('a local link that leads out of the folder is not followed', async (t) => {
  const { server, source } = await makeRun(t)
  const [to, outside] = [tempDir(t), tempDir(t)]
  symlinkSync(outside, join(to, 'checkpoint-1'))
  await assert.rejects(restore(restoreOptions(source, to), contextFor(server)), /is a link that leaves/)
  assert.deepEqual(readdirSync(outside), [])
})

test('a missing or damaged object is named, with the checkpoint before it as the mend, and DIR stays as it was', async (t) => {
  const { server, source, commitSecond } = await makeRun(t)
  await commitSecond()
  const key = `${PREFIX}ckpt-2.index`
  for (const body of ['INDEX', 'longer than it was', undefined]) {
    if (body === undefined) await (await server.openStore()).remove([key])
    else server.seed({ [key]: body })
    const to = tempDir(t)
    await assert.rejects(
      restore(restoreOptions(source, to), contextFor(server)),
      (error) =>
        isLongshoreError(error, 'INTEGRITY') &&
        (error.path ?? '').includes('ckpt-2.index') &&
        (error.hint ?? '').includes('--step checkpoint-1'),
      body ?? 'missing',
    )
    assert.deepEqual(tree(to), [])
  }
})

test('a checkpoint that is retired while it is restored makes way for the newer one', async (t) => {
  const { server, source, writer, commitSecond } = await makeRun(t)
  let moved = false
  const progress = {
    ...SILENT,
    expect() {
      // Between the choice and the first GET.
      moved = true
    },
  }
  const to = tempDir(t)
  server.server.faults.add({
    match: { operation: 'GetObject', key: /model\.bin$/ },
    do: { kind: 'delay', ms: 1500 },
  })
  const running = restore(restoreOptions(source, to), contextFor(server, { progress }))
  running.catch(() => undefined)
  while (!moved) await new Promise((resolve) => setTimeout(resolve, 5))
  await commitSecond()
  await retireCheckpoints(writer, { signal: SIGNAL, keepLast: 1 })
  assert.equal((await running).checkpoint?.name, 'ckpt-2')
})

test('what was restored is known to the sidecar: the same checkpoint is not committed or sent again', async (t) => {
  const { server, source } = await makeRun(t)
  const to = tempDir(t)
  await restore(restoreOptions(source, to), contextFor(server))
  const writer = await openRealWriter(t, server, { dir: to, prefix: PREFIX })
  const files = []
  for (const path of ['model.bin', 'sub/run.sh', 'empty', 'odd name\n=ü', 'trainer_state.json'])
    files.push(await stageFile(to, `checkpoint-1/${path}`))
  files.push({
    ...(await stageFile(to, 'checkpoint-1/empty')),
    path: 'checkpoint-1/last',
    symlink: 'sub/run.sh',
  })
  const staged = { name: 'checkpoint-1', step: 1, layout: 'settle', ordinal: 1, files, pointers: [] }
  assert.equal(findCommitted(writer, staged)?.seq, 2)
  const more = await makeCheckpoint(to, { name: 'more', ordinal: 2, files: { 'more/x': 'x' } })
  const uploaded = await uploadCheckpoint(
    writer,
    { ...more, files: [...more.files, ...files] },
    { signal: SIGNAL },
  )
  assert.deepEqual([uploaded.uploaded.files, uploaded.kept.bytes >= large.length], [1, true])
})

test('an answer lost, a 503, a reset or a short body on the way costs a retry, not a checkpoint', async (t) => {
  const { server, dir, source, commitSecond } = await makeRun(t)
  const faults = [
    { match: { method: 'PUT', every: 2 }, do: { kind: 'lost-answer' } },
    { match: { operation: 'CompleteMultipartUpload', first: 1 }, do: { kind: 'lost-answer' } },
    { match: { every: 7 }, do: { kind: 'status', status: 503 } },
    { match: { operation: 'GetObject', every: 4 }, do: { kind: 'reset', afterBytes: 100 } },
    { match: { operation: 'GetObject', skip: 2, every: 5 }, do: { kind: 'short-body', bytes: 1 } },
  ] as const
  for (const fault of faults) server.server.faults.add(fault)
  await commitSecond()
  server.server.faults.clear()
  for (const fault of faults.slice(2)) server.server.faults.add(fault)
  for (const step of ['ckpt-2', 'checkpoint-1']) {
    const to = tempDir(t)
    const s3 = { ...server.settings, retries: 10 }
    await restore(restoreOptions(source, to, { step }), contextFor(server, { s3 }))
    for (const path of tree(to).filter((p) => p.startsWith(step) && lstatSync(join(to, p)).isFile()))
      assert.ok(readFileSync(join(to, path)).equals(readFileSync(join(dir, path))), path)
  }
})

test('a run in a local folder is restored as one in a bucket is', async (t) => {
  const [bucket, from, to] = [tempDir(t), tempDir(t), tempDir(t)]
  const { store, prefix } = await openStore({ kind: 'local', root: bucket }, S3_DEFAULTS, { env: {} })
  const engine = openEngine({ lane: LANE, concurrency: 4, memory: 64 * 1024 * 1024 })
  t.after(() => engine.close())
  const place = { engine, store, prefix }
  const stateDir = join(from, '.longshore')
  const conditional = await probeConditionalWrites(place, {
    signal: SIGNAL,
    unsafeSingleWriter: false,
    stateDir,
  })
  assert.equal(conditional, 'all')
  const log = await openLog(place, { signal: SIGNAL })
  const writer = await takeOver(log, { signal: SIGNAL, conditional, stateDir })
  const staged = await makeCheckpoint(from, { name: 'c', ordinal: 1, files: { 'c/x': large, 'c/y': 'y' } })
  await commitStaged(writer, staged)
  const context = {
    signal: SIGNAL,
    progress: SILENT,
    s3: S3_DEFAULTS,
    engine: { lane: LANE, concurrency: 4, memory: 64 * 1024 * 1024 },
    dryRun: false,
    env: {},
  }
  const report = await restore(restoreOptions(bucket, to), context)
  assert.equal(report.path, join(to, 'c'))
  assert.ok(readFileSync(join(to, 'c/x')).equals(large))
})
