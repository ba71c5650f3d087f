import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { collect, jsonLines, runCli, startCli } from '../support/cli.ts'
import { type TestServer, withDevServer } from '../support/devserver.ts'
import { tempDir } from '../support/tmp.ts'
import { until } from '../support/until.ts'

function seedSamples({ seed }: TestServer, count: number): void {
  for (let i = 0; i < count; i++) {
    const stem = `raw/${String(i).padStart(4, '0')}`
    seed({ [`${stem}.jpg`]: Buffer.alloc(2000 + i, i), [`${stem}.json`]: `{"i":${i}}` })
  }
}

test('pack, preload, cat, status, release and evict: results on stdout, one line each', async (t) => {
  const s3 = await withDevServer(t)
  seedSamples(s3, 30)
  const cache = join(tempDir(t), 'cache')
  const env = { ...s3.env, LONGSHORE_CACHE_DIR: cache }
  const run = async (...args: string[]) => {
    const result = await runCli(args, { env })
    assert.equal(result.code, 0, `${args.join(' ')}: ${result.stderr}`)
    assert.equal(result.stderr, '', args.join(' '))
    return result.stdout
  }
  const estimate = await run('pack', 's3://test/raw/', 's3://test/v1/', '--dry-run')
  assert.match(estimate, /requests {2}LIST \d+, GET \d+, PUT \d+\n/)
  assert.doesNotMatch(estimate, /price/)
  assert.equal(s3.server.objects.keys('test', 'v1/').length, 0)
  assert.match(
    await run('pack', 's3://test/raw/', 's3://test/v1/'),
    /^s3:\/\/test\/v1\/: 60 objects, 30 samples .*\n$/,
  )

  const folder = (await run('preload', 's3://test/v1/')).trimEnd()
  assert.ok(existsSync(join(folder, 'longshore.json')))
  assert.equal(await run('preload', 's3://test/v1/', '--offline'), `${folder}\n`)
  assert.equal(
    await run('preload', 's3://test/v1/', '--', 'sh', '-c', 'echo "$LONGSHORE_DATA"'),
    `${folder}\n`,
  )
  assert.equal(await run('cat', 's3://test/raw/0003.json'), '{"i":3}')

  const status = await run('status')
  assert.match(status, /s3:\/\/test\/v1\//)
  for (const line of status.split('\n')) assert.ok([...line].length <= 80, line)
  assert.match(await run('release', folder), /^released 1 lease and 0 pins\n$/)
  assert.match(await run('evict', '--max-size', '0', '--grace', '0'), /^.*: evicted 2 datasets .*\n$/)
  assert.ok(!existsSync(folder))
})

test('CMD gets its own words, and its status is the status', async (t) => {
  const s3 = await withDevServer(t)
  s3.seed({ 'data/a.txt': 'a' })
  const dir = tempDir(t)
  const env = { ...s3.env, LONGSHORE_CACHE_DIR: join(dir, 'cache') }
  const script = 'console.log(process.argv.slice(1).join(" ")); process.exit(7)'
  const preload = await runCli(
    ['preload', 's3://test/data/', '--', process.execPath, '-e', script, '--', '--json', '-v', '--help'],
    { env },
  )
  assert.equal(preload.code, 7, preload.stderr)
  assert.equal(preload.stdout, '--json -v --help\n')
  const none = await runCli(['preload', 's3://test/data/', '--', 'no-such-command'], { env })
  assert.equal(none.code, 127)
  mkdirSync(join(dir, 'ckpt'))
  const sync = await runCli(
    [
      'sync',
      join(dir, 'ckpt'),
      's3://test/run/',
      '--settle',
      '200ms',
      '--scan-interval',
      '100ms',
      '--',
      'sh',
      '-c',
      'exit 9',
    ],
    { env },
  )
  assert.equal(sync.code, 9, sync.stderr)
})

test('--json: stdout is JSON lines, the last a summary with its exit status, or an error', async (t) => {
  const s3 = await withDevServer(t)
  seedSamples(s3, 5)
  const { env } = s3
  const packed = await runCli(['pack', 's3://test/raw/', 's3://test/v1/', '--json'], { env })
  const lines = jsonLines(packed.stdout)
  const last = lines.at(-1)
  assert.equal(last?.type, 'summary')
  assert.equal(last?.command, 'pack')
  assert.equal(last?.exit, 0)
  assert.equal(last?.objects, 10)
  for (const line of lines) assert.ok(['progress', 'item', 'summary'].includes(String(line.type)))
  assert.ok(lines.some((line) => line.type === 'progress' && line.phase === 'list'))

  const failed = await runCli(
    ['preload', 's3://nobucket/v1/', '--json', '--cache-dir', join(tempDir(t), 'c')],
    { env },
  )
  assert.equal(failed.code, 2)
  const error = jsonLines(failed.stdout).at(-1)
  assert.equal(error?.type, 'error')
  assert.equal(error?.code, 'NO_BUCKET')
  assert.equal(error?.exit, 2)
  assert.ok(error?.hint)

  const quiet = await runCli(['pack', 's3://test/raw/', 's3://test/v1/', '--json', '-q'], { env })
  assert.ok(jsonLines(quiet.stdout).every((line) => line.type !== 'progress'))
})

test('prices in the config, and only they, put money into a dry run', async (t) => {
  const s3 = await withDevServer(t)
  seedSamples(s3, 3)
  const config = join(tempDir(t), 'c.yaml')
  writeFileSync(config, 'prices:\n  currency: EUR\n  get-per-1000: 1000\n')
  const { stdout } = await runCli(['pack', 's3://test/raw/', 's3://test/v1/', '-n', '--config', config], {
    env: s3.env,
  })
  const gets = Number(/GET (\d+)/.exec(stdout)?.[1])
  assert.ok(stdout.includes(`price     ${gets.toFixed(2)} EUR`), stdout)
})

test('wrong inputs are one line each, with code, mend and status, and leave nothing behind', async (t) => {
  const s3 = await withDevServer(t)
  const secure = await withDevServer(t, { tls: true })
  s3.seed({
    'raw/a.jpg': 'a',
    'clash/a': 'file',
    'clash/a/b': 'below it',
    'bad/../../etc/passwd': 'x',
  })
  const dir = tempDir(t)
  const cache = join(dir, 'cache')
  const env: Record<string, string> = { ...s3.env, LONGSHORE_CACHE_DIR: cache }
  const { AWS_ACCESS_KEY_ID: _id, AWS_SECRET_ACCESS_KEY: _secret, ...keyless } = env
  const { AWS_CA_BUNDLE: _ca, ...distrusting } = { ...env, ...secure.env }
  const cases: { args: string[]; with?: Record<string, string>; code: string; exit: number }[] = [
    { args: ['pack', 's3://nobucket/raw/', 's3://test/v1/'], code: 'NO_BUCKET', exit: 2 },
    { args: ['preload', 's3://nobucket/raw/'], code: 'NO_BUCKET', exit: 2 },
    { args: ['preload', 's3://test/raw/'], with: keyless, code: 'NO_CREDENTIALS', exit: 2 },
    {
      args: ['preload', 's3://test/raw/'],
      with: { ...env, AWS_SECRET_ACCESS_KEY: 'x' },
      code: 'BAD_CREDENTIALS',
      exit: 2,
    },
    {
      args: ['preload', 's3://test/raw/', '--retries', '0'],
      with: { ...env, AWS_ENDPOINT_URL: 'http://127.0.0.1:1' },
      code: 'UNREACHABLE',
      exit: 1,
    },
    { args: ['preload', 's3://test/raw/'], with: distrusting, code: 'TLS_REFUSED', exit: 2 },
    { args: ['preload', 's3://test/nothing/'], code: 'NOT_FOUND', exit: 1 },
    { args: ['preload', 's3://test/clash/'], code: 'KEY_CONFLICT', exit: 2 },
    { args: ['pack', join(dir, 'none'), 's3://test/v1/'], code: 'NOT_FOUND', exit: 1 },
    { args: ['pack', 's3://test/bad/', 's3://test/v1/'], code: 'LINT', exit: 2 },
    { args: ['pack', 's3://test/raw/', 's3://test/v1/', '--shard-size', '5'], code: 'USAGE', exit: 2 },
    { args: ['pack', 's3://test/raw/', 's3://test/raw/v1/'], code: 'DEST_INSIDE_SOURCE', exit: 2 },
    { args: ['pack', 'gs://test/raw/', 's3://test/v1/'], code: 'BAD_URI', exit: 2 },
    { args: ['restore', 's3://test/run/', join(dir, 'r')], code: 'NOTHING_TO_RESTORE', exit: 3 },
    { args: ['release', 'nobody'], code: 'NOT_FOUND', exit: 1 },
  ]
  for (const { args, with: own = env, code, exit } of cases) {
    const result = await runCli(args, { env: { HOME: dir, ...own } })
    const about = `${args.join(' ')}: ${result.stderr}`
    assert.equal(result.code, exit, about)
    assert.equal(result.stdout, '', about)
    assert.match(result.stderr, new RegExp(`^longshore: ${code}: .+ — .+\\n$`), about)
  }
  assert.deepEqual(s3.server.objects.keys('test', 'v1/'), [])
  assert.ok(!existsSync(join(dir, 'r')))
  // The key that climbs stays below the cache.
  const { code, stdout } = await runCli(['preload', 's3://test/bad/'], { env })
  assert.equal(code, 0)
  assert.ok(stdout.startsWith(cache))
  assert.equal(
    readdirSync(stdout.trimEnd(), { recursive: true }).filter((n) => String(n).endsWith('passwd')).length,
    1,
  )
})

test('the first signal ends a one-shot command in order, with its status; sync drains and ends with 0', async (t) => {
  const s3 = await withDevServer(t)
  s3.seed({ 'big/a.bin': Buffer.alloc(4_000_000), 'big/b.bin': Buffer.alloc(4_000_000) })
  const dir = tempDir(t)
  for (const [signal, exit, code] of [
    ['SIGINT', 130, 'INTERRUPTED'],
    ['SIGTERM', 143, 'TERMINATED'],
  ] as const) {
    const child = startCli(
      ['preload', 's3://test/big/', '--bwlimit', '500KiB/s', '--cache-dir', join(dir, signal)],
      {
        env: s3.env,
      },
    )
    const ended = collect(child)
    await until(() => s3.server.requests.count('GetObject') > 0)
    child.kill(signal)
    const result = await ended
    s3.server.requests.clear()
    assert.equal(result.code, exit, result.stderr)
    assert.equal(result.stdout, '')
    assert.match(result.stderr, new RegExp(`^longshore: ${code}: .*\\n$`))
  }
  mkdirSync(join(dir, 'ckpt', 'checkpoint-7'), { recursive: true })
  writeFileSync(join(dir, 'ckpt', 'checkpoint-7', 'model.bin'), 'weights')
  const child = startCli(
    ['sync', join(dir, 'ckpt'), 's3://test/run/', '--settle', '100ms', '--scan-interval', '100ms', '--json'],
    { env: s3.env },
  )
  const ended = collect(child)
  await until(() => s3.server.objects.get('test', 'run/.longshore/log/000000000002.json') !== undefined)
  child.kill('SIGTERM')
  const result = await ended
  assert.equal(result.code, 0, result.stderr)
  const lines = jsonLines(result.stdout)
  assert.equal(lines.at(-1)?.type, 'summary')
  assert.ok(
    lines.some((line) => line.type === 'item' && line.kind === 'committed' && line.name === 'checkpoint-7'),
  )
  const back = await runCli(['restore', 's3://test/run/', join(dir, 'fresh')], { env: s3.env })
  assert.equal(back.stdout, `${join(dir, 'fresh', 'checkpoint-7')}\n`)
  assert.equal(readFileSync(join(dir, 'fresh', 'checkpoint-7', 'model.bin'), 'utf8'), 'weights')
})

test('cat into a reader that leaves early ends quietly', async (t) => {
  const s3 = await withDevServer(t)
  s3.seed({ 'big/a.bin': Buffer.alloc(8_000_000) })
  const child = startCli(['cat', 's3://test/big/a.bin', '--cache-dir', join(tempDir(t), 'c')], {
    env: s3.env,
  })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  await once(child.stdout, 'data')
  child.stdout.destroy()
  await once(child, 'close')
  assert.equal(stderr, '')
})

test('demo does the whole job, tells what could not be packed, and leaves nothing behind', async (t) => {
  const tmp = tempDir(t)
  const made = await runCli(['demo', '--files', '40'], { env: { TMPDIR: tmp } })
  assert.equal(made.code, 0, made.stderr)
  for (const step of ['files', 'upload', 'pack', 'preload', 'verify', 'sync', 'restore', 'evict']) {
    assert.match(made.stdout, new RegExp(`^${step} `, 'm'))
  }
  for (const line of made.stdout.split('\n')) assert.ok([...line].length <= 80, line)
  assert.deepEqual(readdirSync(tmp), [])

  const from = tempDir(t)
  mkdirSync(join(from, 'sub'))
  writeFileSync(join(from, 'sub', 'a b.txt'), 'space')
  writeFileSync(join(from, 'ü.txt'), 'unicode')
  writeFileSync(join(from, 'empty.txt'), '')
  writeFileSync(join(from, 'LICENSE'), 'no extension')
  writeFileSync(join(from, 'new\nline.txt'), 'control')
  symlinkSync('/etc/hostname', join(from, 'out.txt'))
  const real = await runCli(['demo', '--from', from, '--json'], { env: { TMPDIR: tmp } })
  assert.equal(real.code, 3, real.stderr)
  const summary = jsonLines(real.stdout).at(-1) as {
    files: Record<string, number>
    left: { count: number; first: { key: string; reason: string }[] }
  }
  assert.deepEqual(summary.files, { found: 6, packed: 3, verified: 3 })
  assert.deepEqual(summary.left.first.map((one) => one.key).sort(), ['LICENSE', 'new\nline.txt', 'out.txt'])
  assert.deepEqual(readdirSync(tmp), [])
})

test('a second signal ends a drain at once', async (t) => {
  const stalled = { match: { operation: 'PutObject', key: /model/ }, do: { kind: 'stall' } } as const
  const s3 = await withDevServer(t, { faults: [stalled] })
  const dir = tempDir(t)
  mkdirSync(join(dir, 'checkpoint-7'))
  writeFileSync(join(dir, 'checkpoint-7', 'model.bin'), 'weights')
  const args = ['--settle', '100ms', '--scan-interval', '100ms', '--drain-timeout', '10m', '--json']
  const child = startCli(['sync', dir, 's3://test/run/', ...args], { env: s3.env })
  t.after(() => child.kill('SIGKILL'))
  let told = ''
  child.stdout.on('data', (chunk: Buffer) => {
    told += chunk
  })
  const ended = collect(child)
  await until(() => told.includes('"staged"'))
  child.kill('SIGTERM')
  await sleep(500)
  assert.equal(child.exitCode, null, 'it should be draining')
  // A process too busy to have seen the first one yet is given both as one.
  const again = setInterval(() => child.kill('SIGTERM'), 500)
  child.kill('SIGTERM')
  const result = await ended.finally(() => clearInterval(again))
  assert.equal(result.code, 143, result.stderr)
  assert.equal(s3.server.objects.get('test', 'run/.longshore/log/000000000002.json'), undefined)
})

test('what is no longshore error is INTERNAL: one line, and its stack with -v only', async (t) => {
  const breaks = `data:text/javascript,${encodeURIComponent('JSON.stringify = () => { throw new RangeError("odd\\nthing") }')}`
  const env = { NODE_OPTIONS: `--import=${breaks}`, LONGSHORE_CACHE_DIR: join(tempDir(t), 'c') }
  const short = await runCli(['release', 'x'], { env })
  assert.equal(short.code, 1)
  assert.match(short.stderr, /^longshore: INTERNAL: odd thing — .*report.*\n$/m)
  const long = await runCli(['release', 'x', '-v'], { env })
  assert.match(long.stderr, /INTERNAL: odd thing.*\nRangeError: odd\nthing\n {4}at /)
})
