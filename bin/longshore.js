#!/usr/bin/env node
// A build is bundled: with -v a stack trace names the source's own files and lines.
if (process.argv.some((word) => word === '-v' || word === '--verbose')) process.setSourceMapsEnabled(true)
const { main } = await import('../dist/main.js')

await main(process.argv.slice(2))
