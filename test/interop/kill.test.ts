import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { type TestContext, test } from 'node:test'
import { runCli } from '../support/cli.ts'
import { randomFrom } from '../support/random.ts'
import { tempDir } from '../support/tmp.ts'
import { type Bucket, inParallel, openBucket, sha256 } from './support/bucket.ts'
import { killedAfter } from './support/killed.ts'
import { bytesOf } from './support/samples.ts'
import { type RealServer, startVersitygw } from './support/servers.ts'
import { orSkip } from './support/tools.ts'

const KILLS = 20
const SEED = Number(process.env.LONGSHORE_TEST_SEED ?? 20_261_122)

interface Scene {
  server: RealServer
  bucket: Bucket
  dir: string
  random: () => number
  cli: (args: string[]) => ReturnType<typeof runCli>
}

async function scene(t: TestContext): Promise<Scene | undefined> {
  const server = await orSkip(t, startVersitygw)
  if (!server) return undefined
  t.after(() => server.stop())
  const bucket = await openBucket(server)
  t.after(() => bucket.close())
  const dir = await tempDir(t)
  t.diagnostic(`LONGSHORE_TEST_SEED=${SEED}`)
  const cli = (args: string[]) => runCli(args, { env: server.env, cwd: dir })
  return { server, bucket, dir, random: randomFrom(SEED), cli }
}

/** Kills `args` at KILLS random moments of its undisturbed time; `check` looks after each, `restart` undoes a run that was done before its kill. */
async function killOften(
  at: Scene,
  {
    args,
    ms,
    check,
    restart,
  }: { args: string[]; ms: number; check(): Promise<void>; restart(): Promise<void> },
): Promise<void> {
  for (let kills = 0; kills < KILLS; ) {
    if (await killedAfter(at.random() * ms, args, at.server.env)) {
      kills++
      await check()
    } else {
      await restart()
    }
  }
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  const start = performance.now()
  const result = await work()
  return { result, ms: performance.now() - start }
}

async function contents(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  if (!existsSync(folder)) return found
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found.set(relative(folder, path), sha256(await readFile(path)))
  }
  return new Map([...found].sort())
}

async function objects(bucket: Bucket, prefix: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const key of await bucket.keys(prefix)) {
    const name = key.slice(prefix.length)
    if (!name.startsWith('.longshore/')) found.set(name, sha256(await bucket.get(key)))
  }
  return found
}

test(`pack killed at ${KILLS} random moments gives the bytes of an undisturbed run, and no shard is ever half`, async (t) => {
  const at = await scene(t)
  if (!at) return
  const { bucket, cli } = at
  const files = Array.from({ length: 600 }, (_, i) => i)
  await inParallel(files, 32, (i) =>
    bucket.put(`raw/c${i % 9}/s${i}.bin`, bytesOf(`${i}`, 8_000 + ((i * 31) % 40_000))),
  )

  const pack = (to: string) => ['pack', 's3://test/raw/', `s3://test/${to}/`, '--shard-size', '1MiB', '-q']
  const undisturbed = await timed(() => cli(pack('undisturbed')))
  assert.equal(undisturbed.result.code, 0, undisturbed.result.stderr)
  const wanted = await objects(bucket, 'undisturbed/')
  assert.ok(wanted.size > 10)

  await killOften(at, {
    args: pack('killed'),
    ms: undisturbed.ms,
    restart: () => bucket.empty('killed/'),
    async check() {
      for (const [name, sum] of await objects(bucket, 'killed/')) assert.equal(sum, wanted.get(name), name)
    },
  })
  const last = await cli(pack('killed'))
  assert.equal(last.code, 0, last.stderr)
  assert.deepEqual(await objects(bucket, 'killed/'), wanted)
  assert.equal(await bucket.openUploads(), 0)
})

test(`preload killed at ${KILLS} random moments gives the folder of an undisturbed run, and no file is ever half`, async (t) => {
  const at = await scene(t)
  if (!at) return
  const { bucket, cli, dir } = at
  const files = Array.from({ length: 400 }, (_, i) => i)
  await inParallel(files, 32, (i) =>
    bucket.put(`raw/c${i % 9}/s${i}.bin`, bytesOf(`${i}`, 4_000 + ((i * 31) % 9_000))),
  )
  await bucket.put('raw/large.bin', bytesOf('large', 48 * 1024 * 1024))

  const preload = (cache: string) => ['preload', 's3://test/raw/', '--cache-dir', join(dir, cache), '-q']
  const undisturbed = await timed(() => cli(preload('undisturbed')))
  assert.equal(undisturbed.result.code, 0, undisturbed.result.stderr)
  const folder = relative(join(dir, 'undisturbed'), undisturbed.result.stdout.trim())
  const wanted = await contents(join(dir, 'undisturbed', folder))
  assert.equal(wanted.size, 401)

  await killOften(at, {
    args: preload('killed'),
    ms: undisturbed.ms,
    restart: () => rm(join(dir, 'killed'), { recursive: true, force: true }),
    async check() {
      for (const [name, sum] of await contents(join(dir, 'killed', folder)))
        assert.equal(sum, wanted.get(name), name)
    },
  })
  const last = await cli(preload('killed'))
  assert.equal(last.code, 0, last.stderr)
  assert.equal(last.stdout.trim(), join(dir, 'killed', folder))
  assert.deepEqual(await contents(join(dir, 'killed', folder)), wanted)
})

test(`sync killed at ${KILLS} random moments loses no checkpoint, and never commits half of one`, async (t) => {
  const at = await scene(t)
  if (!at) return
  const { bucket, cli, dir } = at
  const written = join(dir, 'written')
  const wanted = new Map<string, Map<string, string>>()
  const write = async (n: number) => {
    const folder = join(written, `checkpoint-${n}`)
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'weights.bin'), bytesOf(`weights ${n}`, 20 * 1024 * 1024 + n))
    await writeFile(join(folder, 'state.json'), JSON.stringify({ step: n }))
    await writeFile(join(folder, 'DONE'), '')
    wanted.set(`checkpoint-${n}`, await contents(folder))
  }
  const sync = (to: string) => [
    'sync',
    written,
    `s3://test/${to}/`,
    '--marker',
    'DONE',
    '--once',
    '--settle',
    '100ms',
    '-q',
  ]
  const restoreAndCompare = async () => {
    const fresh = join(dir, 'fresh')
    await rm(fresh, { recursive: true, force: true })
    const restored = await cli(['restore', 's3://test/killed/', fresh, '--allow-none'])
    assert.equal(restored.code, 0, restored.stderr)
    const path = restored.stdout.trim()
    if (path === '') return undefined
    const name = relative(fresh, path)
    assert.deepEqual(await contents(path), wanted.get(name), name)
    return name
  }

  await write(1)
  const undisturbed = await timed(() => cli(sync('undisturbed')))
  assert.equal(undisturbed.result.code, 0, undisturbed.result.stderr)
  let next = 2
  let newest = 0
  await killOften(at, {
    args: sync('killed'),
    ms: undisturbed.ms * 1.2,
    restart: () => write(next++),
    async check() {
      const name = await restoreAndCompare()
      const step = Number(name?.split('-')[1] ?? 0)
      assert.ok(step >= newest, `the newest moved back from ${newest} to ${step}`)
      newest = step
    },
  })
  const last = await cli(sync('killed'))
  assert.equal(last.code, 0, last.stderr)
  assert.equal(await restoreAndCompare(), `checkpoint-${next - 1}`)
  for (const name of wanted.keys()) {
    const fresh = join(dir, 'each', name)
    const restored = await cli(['restore', 's3://test/killed/', fresh, '--step', name])
    assert.equal(restored.code, 0, restored.stderr)
    assert.deepEqual(await contents(restored.stdout.trim()), wanted.get(name), name)
  }
  assert.equal(await bucket.openUploads(), 0)
})
