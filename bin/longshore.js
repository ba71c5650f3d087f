#!/usr/bin/env node
import { createRequire } from 'node:module'

// A build is bundled: with -v a stack trace names the source's own files and lines.
const verbose = process.argv.some((word) => word === '-v' || word === '--verbose')
if (verbose) process.setSourceMapsEnabled(true)
// Of what only prints, too little is run to be worth reading all of it.
const brief = process.argv.some((word) => ['-h', '--help', 'help', '-V', '--version'].includes(word))
const { compiled } = createRequire(import.meta.url)('./compiled.cjs')
const { main } = (verbose || brief ? undefined : compiled('main.cjs')) ?? (await import('../dist/main.js'))

await main(process.argv.slice(2))
