import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { tempDir } from '../support/tmp.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ASKING =
  "(function (exports, require) { exports.main = async () => console.log('from ' + require('./sdk.cjs').name) })"
const SDK = "(function (exports) { exports.name = 'the SDK' })"
const SCRIPT = "(function (exports) { exports.main = async () => console.log('from the script') })"

/** A build whose script and modules say which of them runs, and the cache of the script's code as it was sealed. */
function withBuild(t: TestContext, { text = SCRIPT, name = 'main.cjs' } = {}) {
  const dir = tempDir(t)
  for (const name of ['bin', 'dist']) mkdirSync(join(dir, name))
  for (const name of ['longshore.js', 'compiled.cjs', 'worker.cjs', 'package.json'])
    copyFileSync(join(ROOT, 'bin', name), join(dir, 'bin', name))
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}')
  writeFileSync(join(dir, 'dist/main.js'), "export const main = async () => console.log('from the modules')")
  const script = join(dir, 'dist', name)
  const cache = `${script}.${process.version}-${process.platform}-${process.arch}`
  // As in a process of its own: this one runs with a loader's flags.
  const seal = join(ROOT, 'scripts/seal-code.mjs')
  const make = `
    const { default: vm } = await import('node:vm')
    const { readFileSync, writeFileSync } = await import('node:fs')
    const { sealCode } = await import(${JSON.stringify(seal)})
    const bytes = readFileSync(${JSON.stringify(script)})
    const made = new vm.Script(bytes.toString('latin1'), { filename: ${JSON.stringify(script)} })
    made.runInThisContext()
    writeFileSync(${JSON.stringify(cache)}, sealCode(made.createCachedData(), bytes))`
  writeFileSync(script, text)
  execFileSync(process.execPath, ['--input-type=module', '-e', make], { env: {} })
  const run = (...args: string[]) =>
    execFileSync(process.execPath, [join(dir, 'bin/longshore.js'), ...args], {
      env: {},
      encoding: 'utf8',
      stdio: 'pipe',
    }).trim()
  return { dir, script, cache, run }
}

test('a command starts from the script that this node compiled, and one that only prints from the modules', (t) => {
  const { run } = withBuild(t)
  assert.equal(run('status'), 'from the script')
  for (const word of ['-v', '--help', '--version']) assert.equal(run(word), 'from the modules')
})

test('a command that is left with nothing to wait for before its end is no success', (t) => {
  const text = SCRIPT.replace("console.log('from the script')", 'new Promise(() => {})')
  const { dir, run } = withBuild(t, { text })
  writeFileSync(join(dir, 'dist/main.js'), 'export const main = () => new Promise(() => {})')
  for (const word of ['status', '--help']) {
    assert.throws(() => run(word), { status: 1, stderr: /^longshore: INTERNAL: [^\n]+\n$/ })
  }
})

test('a cache of code that is cut, damaged or of another script is not used', (t) => {
  const { script, cache, run } = withBuild(t)
  const sound = readFileSync(cache)
  const flipped = (at: number) => {
    const bytes = Buffer.from(sound)
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
    return bytes
  }
  const damaged = [
    Buffer.alloc(0),
    sound.subarray(0, 5),
    sound.subarray(0, -1),
    Buffer.concat([sound.subarray(0, -200), Buffer.alloc(200)]),
    ...[0, 5, 9, 30, sound.length >> 1, sound.length - 1].map(flipped),
  ]
  for (const bytes of damaged) {
    writeFileSync(cache, bytes)
    assert.equal(run('status'), 'from the modules')
  }
  writeFileSync(cache, sound)
  writeFileSync(script, SCRIPT.replace('the script', 'elsewhere.'))
  assert.equal(run('status'), 'from the modules')
})

test('the SDK is read when it is first asked for, with what was compiled of it or without', (t) => {
  const { script, run } = withBuild(t, { text: ASKING })
  const sdk = script.replace('main.cjs', 'sdk.cjs')
  const cache = `${sdk}.${process.version}-${process.platform}-${process.arch}`
  writeFileSync(sdk, SDK)
  assert.equal(run('status'), 'from the SDK')
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(200, 7)]) {
    writeFileSync(cache, bytes)
    assert.equal(run('status'), 'from the SDK')
  }
})

test('a thread starts from its script that this node compiled, or from the modules', (t) => {
  const from = (where: string) => `require('node:worker_threads').parentPort.postMessage('from the ${where}')`
  const text = `(function (exports, require) { ${from('script')} })`
  const { dir, cache } = withBuild(t, { text, name: 'worker.cjs' })
  const modules =
    "import { parentPort } from 'node:worker_threads'; parentPort.postMessage('from the modules')"
  writeFileSync(join(dir, 'dist/worker.js'), modules)
  const start = () => {
    // Without the loader's flags that this process has: node would not take the code back.
    const main = `new (require('node:worker_threads').Worker)(${JSON.stringify(join(dir, 'bin/worker.cjs'))}).on('message', console.log)`
    return execFileSync(process.execPath, ['-e', main], { env: {}, encoding: 'utf8' }).trim()
  }
  assert.equal(start(), 'from the script')
  writeFileSync(cache, readFileSync(cache).subarray(0, -1))
  assert.equal(start(), 'from the modules')
})
