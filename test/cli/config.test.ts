import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadConfig } from '../../src/cli/config.ts'
import { GLOBALS } from '../../src/cli/global-options.ts'
import { DEFINITIONS } from '../../src/cli/program.ts'
import { resolveOptions } from '../../src/cli/resolve.ts'
import { LongshoreError } from '../../src/errors.ts'
import { tempDir } from '../support/tmp.ts'

const tree = {
  globals: GLOBALS,
  commands: Object.fromEntries(DEFINITIONS.map(({ name, specs }) => [name, specs])),
}
const PRELOAD = tree.commands.preload ?? {}
const PACK = tree.commands.pack ?? {}
const nothing = () => undefined

async function load(dir: string, yaml: string) {
  const path = join(dir, 'config.yaml')
  writeFileSync(path, yaml)
  return loadConfig(path, {}, tree)
}

async function badConfig(dir: string, yaml: string): Promise<LongshoreError> {
  const error = await load(dir, yaml).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  assert.ok(error instanceof LongshoreError, 'it should have been refused')
  assert.equal(error.code, 'BAD_CONFIG')
  return error
}

test('the command line wins over LONGSHORE_*, that over AWS_*, that over the config, that over the default', async (t) => {
  const config = await load(tempDir(t), 'region: from-config\nretries: 3\n')
  const env = { LONGSHORE_REGION: 'from-longshore', AWS_REGION: 'from-aws' }
  const region = (line: string[] | undefined, vars: Record<string, string>) =>
    resolveOptions(GLOBALS, {
      line: (spec) => (spec === GLOBALS.region ? line : undefined),
      env: vars,
      config,
      section: '',
    }).region
  assert.equal(region(['from-line'], env), 'from-line')
  assert.equal(region(undefined, env), 'from-longshore')
  assert.equal(region(undefined, { AWS_REGION: 'from-aws' }), 'from-aws')
  assert.equal(region(undefined, {}), 'from-config')
  assert.equal(resolveOptions(GLOBALS, { line: nothing, env: {}, config, section: '' }).retries, 3)
  assert.equal(resolveOptions(GLOBALS, { line: nothing, env: {}, config, section: '' }).logFormat, 'text')
})

test('the endpoint is read from its three variables in their order', () => {
  const config = { find: nothing }
  const endpoint = (env: Record<string, string>) =>
    resolveOptions(GLOBALS, { line: nothing, env, config, section: '' }).endpointUrl
  assert.equal(endpoint({ AWS_ENDPOINT_URL_S3: 'a', AWS_ENDPOINT_URL: 'b', S3_ENDPOINT_URL: 'c' }), 'a')
  assert.equal(endpoint({ AWS_ENDPOINT_URL: 'b', S3_ENDPOINT_URL: 'c' }), 'b')
  assert.equal(endpoint({ AWS_ENDPOINT_URL: '', S3_ENDPOINT_URL: 'c' }), 'c')
})

test("a command's section wins over the top of the file for what commands share", async (t) => {
  const config = await load(tempDir(t), 'cache-dir: /top\nmax-size: 1TiB\npreload:\n  max-size: 50%\n')
  const found = resolveOptions(PRELOAD, { line: nothing, env: {}, config, section: 'preload' })
  assert.equal(found.cacheDir, '/top')
  assert.deepEqual(found.maxSize, { percent: 50 })
})

test('a switch can be turned off by each origin, and the stronger origin decides', async (t) => {
  const config = await load(tempDir(t), 'pack:\n  shuffle: false\n  include: ["*.jpg", "*.cls"]\n')
  const pack = (env: Record<string, string>, line = nothing as () => string[] | boolean | undefined) =>
    resolveOptions({ shuffle: PACK.shuffle, include: PACK.include } as typeof PACK, {
      line,
      env,
      config,
      section: 'pack',
    })
  assert.equal(pack({}).shuffle, false)
  assert.deepEqual(pack({}).include, ['*.jpg', '*.cls'])
  assert.equal(pack({ LONGSHORE_SHUFFLE: '7' }).shuffle, 7)
  assert.equal(pack({ LONGSHORE_NO_SHUFFLE: '1' }).shuffle, false)
})

test('an unknown key is named with its file and line', async (t) => {
  const dir = tempDir(t)
  const top = await badConfig(dir, '# mine\nregion: eu\nregoin: eu\n')
  assert.match(top.message, /config\.yaml:3: unknown key "regoin"/)
  const nested = await badConfig(dir, 'pack:\n  name: train\n\n  shard-sise: 5MiB\n')
  assert.match(nested.message, /config\.yaml:4: unknown key "pack\.shard-sise"/)
})

test('a wrong kind of value, a wrong value and broken YAML are named with their line', async (t) => {
  const dir = tempDir(t)
  assert.match((await badConfig(dir, 'json: maybe\n')).message, /config\.yaml:1: json/)
  assert.match(
    (await badConfig(dir, 'region: eu\nprices:\n  get-per-1000: -1\n')).message,
    /:3: prices\.get-per-1000/,
  )
  assert.match((await badConfig(dir, 'a: [1\n')).message, /config\.yaml:\d/)
  assert.match((await badConfig(dir, '- a\n')).message, /config\.yaml:1/)
  const config = await load(dir, '\npack:\n  shard-size: 5\n')
  assert.throws(
    () => resolveOptions(PACK, { line: nothing, env: {}, config, section: 'pack' }),
    (error) =>
      error instanceof LongshoreError && /config\.yaml:3: shard-size: "5" has no unit/.test(error.message),
  )
})

test('a config file that was asked for must be there; the usual ones need not', async (t) => {
  const dir = tempDir(t)
  await assert.rejects(loadConfig(join(dir, 'none.yaml'), {}, tree), /can't be read/)
  const none = await loadConfig(undefined, { XDG_CONFIG_HOME: dir }, tree)
  assert.equal(none.path, undefined)
})

test('a variable that is neither yes nor no is refused for a switch', () => {
  assert.throws(
    () =>
      resolveOptions(GLOBALS, {
        line: nothing,
        env: { LONGSHORE_JSON: 'perhaps' },
        config: { find: nothing },
        section: '',
      }),
    /LONGSHORE_JSON: "perhaps"/,
  )
})
