#!/usr/bin/env node
'use strict'
// CommonJS, by the package.json beside it: of each start, node's loader of ES modules alone takes 6 ms.
const { compiled } = require('./compiled.cjs')

let ended = false
// Nothing to wait for is left in the middle of a command: a bug, and not to be taken for success.
process.on('exit', () => {
  if (ended || process.exitCode) return
  process.exitCode = 1
  process.stderr.write(
    'longshore: INTERNAL: the command ended in the middle, with nothing left to wait for — this is a bug in longshore: please report it with the output of the same command and -v\n',
  )
})
// A build is bundled: with -v a stack trace names the source's own files and lines.
const verbose = process.argv.some((word) => word === '-v' || word === '--verbose')
if (verbose) process.setSourceMapsEnabled(true)
// Of what only prints, too little is run to be worth reading all of it.
const brief = process.argv.some((word) => ['-h', '--help', 'help', '-V', '--version'].includes(word))
const script = verbose || brief ? undefined : compiled('main.cjs')

async function run({ main }) {
  await main(process.argv.slice(2))
  ended = true
}

if (script !== undefined) run(script)
else import('../dist/main.js').then(run)
