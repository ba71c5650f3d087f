#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'
import zlib from 'node:zlib'

// A build is bundled: with -v a stack trace names the source's own files and lines.
const verbose = process.argv.some((word) => word === '-v' || word === '--verbose')
if (verbose) process.setSourceMapsEnabled(true)
// Of what only prints, too little is run to be worth reading all of it.
const brief = process.argv.some((word) => ['-h', '--help', 'help', '-V', '--version'].includes(word))
const { main } = (verbose || brief ? undefined : compiled()) ?? (await import('../dist/main.js'))

await main(process.argv.slice(2))

/**
 * The same code as one script, with what this very node once compiled of it: a quarter of a short command's CPU is
 * compiling. undefined: the build was made by another version of node, or without it, or a byte of it is not what it
 * was: V8 does not look, and ends the process in the middle. See scripts/seal-code.mjs for the form.
 */
function compiled() {
  const filename = fileURLToPath(new URL('../dist/main.cjs', import.meta.url))
  let sealed
  let bytes
  try {
    sealed = readFileSync(`${filename}.${process.version}-${process.platform}-${process.arch}`)
    bytes = readFileSync(filename)
  } catch {
    return undefined
  }
  const cachedData = sealed.subarray(8)
  if (zlib.crc32 === undefined || sealed.length < 8) return undefined
  if (sealed.readUInt32LE(0) !== zlib.crc32(cachedData) || sealed.readUInt32LE(4) !== zlib.crc32(bytes))
    return undefined
  // All ASCII: the build escapes what is not.
  const source = bytes.latin1Slice()
  const script = new vm.Script(source, { filename, cachedData })
  if (script.cachedDataRejected) return undefined
  const module = { exports: {} }
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename))
  return module.exports
}
