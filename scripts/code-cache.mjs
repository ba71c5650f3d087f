// Runs the build's main.cjs through the whole demo and keeps what node compiled for it beside it: bin/longshore.js
// starts from that, where it is run by the same version of node. Called by build.mjs, in a process of its own.
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import v8 from 'node:v8'
import vm from 'node:vm'
import { sealCode } from './seal-code.mjs'

// What is not run again would be thrown away after a while, all that runs but once above all.
const { setFlagsFromString } = v8
setFlagsFromString('--no-flush-bytecode')
// A start sets its own only after it was read, and node takes it only for the flags it was made with.
v8.setFlagsFromString = () => {}
const filename = fileURLToPath(new URL('../dist/main.cjs', import.meta.url))
const bytes = readFileSync(filename)
const source = bytes.latin1Slice()
const script = new vm.Script(source, { filename })
const module = { exports: {} }
script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename))
const write = process.stdout.write.bind(process.stdout)
process.stdout.write = () => true
await module.exports.main(['demo', '--files', '40', '--quiet'])
process.stdout.write = write
if (process.exitCode) throw new Error(`the demo ended with status ${process.exitCode}`)
setFlagsFromString('--flush-bytecode')
const cachedData = script.createCachedData()
const again = new vm.Script(source, { filename, cachedData })
if (again.cachedDataRejected) throw new Error('node does not take back what it compiled')
const to = `${filename}.${process.version}-${process.platform}-${process.arch}`
writeFileSync(`${to}.tmp`, sealCode(cachedData, bytes))
renameSync(`${to}.tmp`, to)
