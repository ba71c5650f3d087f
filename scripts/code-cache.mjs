// Runs the build's scripts through the whole demo and keeps what node compiled for them beside them: bin/longshore.js
// starts from that, where it is run by the same version of node. Called by build.mjs, in a process of its own.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'
import vm from 'node:vm'
import threads from 'node:worker_threads'
import { run } from '../bin/compiled.cjs'
import { keepCode } from './seal-code.mjs'

// What is not run again would be thrown away after a while, all that runs but once above all.
const { setFlagsFromString } = v8
setFlagsFromString('--no-flush-bytecode')
// A start sets its own only after it was read, and node takes it only for the flags it was made with.
v8.setFlagsFromString = () => {}
const scripts = new Map()
/** What the build's script of that name exports. */
const load = (name) => {
  const known = scripts.get(name)
  if (known !== undefined) return known.exports
  const filename = fileURLToPath(new URL(`../dist/${name}`, import.meta.url))
  const bytes = readFileSync(filename)
  const script = new vm.Script(bytes.latin1Slice(), { filename })
  const made = { filename, bytes, script, exports: run(script, filename, () => load('sdk.cjs')) }
  scripts.set(name, made)
  return made.exports
}
// What a thread runs is compiled in the thread: it keeps it itself, at its end.
const { Worker } = threads
threads.Worker = class extends Worker {
  constructor(_file, options) {
    super(new URL('./worker-code-cache.mjs', import.meta.url), options)
  }
}
const { main } = load('main.cjs')
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = () => true
await main(['demo', '--files', '40', '--quiet'])
process.stdout.write = write
if (process.exitCode) throw new Error(`the demo ended with status ${process.exitCode}`)
setFlagsFromString('--flush-bytecode')
for (const { filename, bytes, script } of scripts.values()) {
  const cachedData = script.createCachedData()
  const again = new vm.Script(bytes.latin1Slice(), { filename, cachedData })
  if (again.cachedDataRejected) throw new Error('node does not take back what it compiled')
  keepCode(filename, { cachedData, bytes })
}
