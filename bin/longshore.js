#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'

// A build is bundled: with -v a stack trace names the source's own files and lines.
const verbose = process.argv.some((word) => word === '-v' || word === '--verbose')
if (verbose) process.setSourceMapsEnabled(true)
// Of what only prints, too little is run to be worth reading all of it.
const brief = process.argv.some((word) => ['-h', '--help', 'help', '-V', '--version'].includes(word))
const { main } = (verbose || brief ? undefined : compiled()) ?? (await import('../dist/main.js'))

await main(process.argv.slice(2))

/**
 * The same code as one script, with what this very node once compiled of it: a quarter of a short command's CPU is
 * compiling. undefined: the build was made by another version of node, or without it.
 */
function compiled() {
  const filename = fileURLToPath(new URL('../dist/main.cjs', import.meta.url))
  let cachedData
  let source
  try {
    cachedData = readFileSync(`${filename}.${process.version}-${process.arch}`)
    // All ASCII: the build escapes what is not.
    source = readFileSync(filename, 'latin1')
  } catch {
    return undefined
  }
  const script = new vm.Script(source, { filename, cachedData })
  if (script.cachedDataRejected) return undefined
  const module = { exports: {} }
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, dirname(filename))
  return module.exports
}
