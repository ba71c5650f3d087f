// A worker thread of scripts/code-cache.mjs: runs the build's worker.cjs and keeps what node compiled of it.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'
import vm from 'node:vm'
import { codeOf, run } from '../bin/compiled.cjs'
import { keepCode } from './seal-code.mjs'

const filename = fileURLToPath(new URL('../dist/worker.cjs', import.meta.url))
const bytes = readFileSync(filename)
const script = new vm.Script(bytes.latin1Slice(), { filename })
run(script, filename)

process.on('exit', () => {
  // As in scripts/code-cache.mjs: node takes it back only for the flags that a start has.
  v8.setFlagsFromString('--flush-bytecode')
  const cachedData = script.createCachedData()
  v8.setFlagsFromString('--no-flush-bytecode')
  // The thread that did most has compiled most.
  const kept = codeOf(filename)
  if (existsSync(kept) && statSync(kept).size > cachedData.length + 8) return
  keepCode(filename, { cachedData, bytes })
})
