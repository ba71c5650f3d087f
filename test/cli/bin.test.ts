import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { BIN, cleanEnv, jsonLines, runCli } from '../support/cli.ts'
import { withDevServer } from '../support/devserver.ts'
import { LANE } from '../support/lanes.ts'
import { tempDir } from '../support/tmp.ts'

const COMMANDS = ['pack', 'preload', 'cat', 'sync', 'restore', 'evict', 'release', 'status', 'demo']

/** A hook that writes down every module that is asked for. */
function loadedModules(file: string): string {
  const hook = `import { appendFileSync } from 'node:fs'
export async function resolve(name, context, next) {
  const found = await next(name, context)
  appendFileSync(${JSON.stringify(file)}, found.url + '\\n')
  return found
}`
  const asUrl = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`
  return `--import=${asUrl(`import { register } from 'node:module'; register(${JSON.stringify(asUrl(hook))})`)}`
}

/** What the files of a build were made of, by their source maps; and every other module by its name. */
function bundled(urls: readonly string[]): string {
  const sources = urls.flatMap((url) => {
    const map = url.startsWith('file:') ? `${fileURLToPath(url)}.map` : ''
    if (!existsSync(map)) return [url]
    return (JSON.parse(readFileSync(map, 'utf8')) as { sources: string[] }).sources
  })
  return sources.sort().join('\n')
}

test('help and version answer without loading the SDK or any other heavy module', async (t) => {
  const dir = tempDir(t)
  for (const [i, args] of [
    ['--help'],
    ['--version'],
    ['pack', '--help'],
    ['sync', 'a', 'b', '-h'],
  ].entries()) {
    const file = join(dir, String(i))
    const { code, stdout, stderr } = await runCli(args, { env: { NODE_OPTIONS: loadedModules(file) } })
    assert.equal(code, 0, stderr)
    assert.notEqual(stdout, '')
    const sources = bundled(readFileSync(file, 'utf8').split('\n'))
    assert.match(sources, /node_modules\/commander\/.*src\/cli\/main\.ts/s)
    assert.doesNotMatch(sources, /@aws-sdk|@smithy|zod|yaml|pino|fast-glob|cli-progress|@node-rs/)
  }
})

test('a preload from an endpoint with its keys in the environment loads no SDK', {
  skip: LANE,
}, async (t) => {
  const dev = await withDevServer(t, { undisturbed: 'whatever is odd is the SDK’s to ask' })
  dev.seed({ 'data/a.txt': 'one', 'data/b.txt': 'two' })
  const file = join(tempDir(t), 'loaded')
  // By the modules: the script has it all in one.
  const args = ['preload', `${dev.root}/data/`, '--cache-dir', tempDir(t), '--quiet', '-v']
  const { code, stderr } = await runCli(args, { env: { ...dev.env, NODE_OPTIONS: loadedModules(file) } })
  assert.equal(code, 0, stderr)
  const sources = bundled(readFileSync(file, 'utf8').split('\n'))
  assert.match(sources, /src\/s3\/light\.ts/)
  assert.doesNotMatch(sources, /@aws-sdk|@smithy/)
})

test('with -v a stack trace names files and lines of the source, not of the build', async () => {
  const { code, stderr } = await runCli(['status', '--config', '/nonexistent.yaml', '-v'])
  assert.equal(code, 2)
  assert.match(stderr, /at async loadConfig \(.*src\/cli\/config\.ts:\d+:\d+\)/)
})

test('every help text fits 80 columns, has examples and the exit statuses', async () => {
  const helps = await Promise.all(
    [['--help'], ...COMMANDS.map((name) => [name, '--help'])].map((args) => runCli(args)),
  )
  for (const { code, stdout, stderr } of helps) {
    assert.equal(code, 0)
    assert.equal(stderr, '')
    assert.match(stdout, /Exit status:\n {2}0 {4}done/)
    assert.match(stdout, /\n {2}75 /)
    for (const line of stdout.split('\n')) assert.ok([...line].length <= 80, line)
  }
})

test('a wrong command line is one line that says where to read on, and exit 2', async () => {
  const wrong: [string[], RegExp][] = [
    [['synk'], /unknown command 'synk' — did you mean sync\? Try: longshore --help/],
    [[], /no command given — Try: longshore --help/],
    [
      ['pack', 'a', 'b', '--shard-size', '5'],
      /--shard-size: "5" has no unit — write 5MiB or 5MB\. Try: longshore pack --help/,
    ],
    [['pack', 'a', 'b', '--shard-sise', '5MiB'], /--shard-sise.*did you mean --shard-size\?/],
    [['pack', 'a', 'b', '--threads', '3'], /unknown option '--threads'/],
    [['pack', 'a', 'b', '--format', 'mds'], /--format: "mds" is not offered — write tar/],
    [['pack', 'a'], /<DST> is missing/],
    [['pack', 'a', 'b', 'c'], /too many: "c"/],
    [['pack', 'a', 'b', '--', 'c'], /no command after --/],
    [['preload', '--', 'true'], /<SRC\.\.\.> is missing/],
    [['preload', 's3://b/p/', '--'], /no command after --/],
    [['sync', 'a', 'b', 'python'], /put -- before CMD/],
    [['preload', 's3://b/p/', '--lease', '7'], /--lease: "7" has no unit — write 7s, 7m or 7d/],
    [['restore', 's3://b/p/'], /DIR is missing/],
    [['cat', 's3://b/k', '--json'], /no --json/],
    [['status', '--config', '/nonexistent.yaml'], /\/nonexistent\.yaml can't be read/],
  ]
  const results = await Promise.all(wrong.map(([args]) => runCli(args)))
  for (const [i, { code, stdout, stderr }] of results.entries()) {
    const [args, expected] = wrong[i] ?? [[], /never/]
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout, '')
    assert.match(stderr, /^longshore: (USAGE|BAD_CONFIG): .*\n$/, args.join(' '))
    assert.match(stderr, expected)
  }
})

test('with --json a wrong command line is an error line on stdout', async () => {
  for (const args of [
    ['pack', 'a', 'b', '--json', '--shard-size', '5'],
    ['--json', 'synk'],
    ['pack', '--json', '--nope'],
  ]) {
    const { code, stdout } = await runCli(args)
    assert.equal(code, 2)
    const lines = jsonLines(stdout)
    assert.equal(lines.length, 1)
    assert.equal(lines[0]?.type, 'error')
    assert.equal(lines[0]?.code, 'USAGE')
    assert.equal(lines[0]?.exit, 2)
    assert.match(String(lines[0]?.hint), /Try: longshore/)
  }
})

test('global options stand before or after the command', async (t) => {
  const dir = tempDir(t)
  const config = join(dir, 'c.yaml')
  writeFileSync(config, 'nonsense: 1\n')
  for (const args of [
    ['--config', config, 'status'],
    ['status', '--config', config],
  ]) {
    const { code, stderr } = await runCli(args)
    assert.equal(code, 2)
    assert.match(stderr, /c\.yaml:1: unknown key "nonsense"/)
  }
  const { stderr } = await runCli(['status'], { env: { LONGSHORE_CONFIG: config } })
  assert.match(stderr, /c\.yaml:1/)
})

test('--log-format json makes the error a JSON line on stderr', async () => {
  const { code, stderr } = await runCli(['--log-format', 'json', 'cat', 's3://a'])
  assert.equal(code, 2)
  const [line] = jsonLines(stderr)
  assert.equal(line?.level, 50)
  assert.equal(line?.code, 'BAD_URI')
})

test('no colour reaches a pipe', async () => {
  const { stderr } = await runCli(['synk'])
  assert.ok(!stderr.includes('\x1b'))
})

test('a reader of stdout that went away is no error', async () => {
  const child = spawn(process.execPath, [BIN, '--help'], {
    env: cleanEnv(),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.destroy()
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk
  })
  await once(child, 'close')
  assert.equal(stderr, '')
})
