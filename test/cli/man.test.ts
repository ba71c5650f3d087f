import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { manPages } from '../../src/cli/man.ts'

const root = new URL('../../', import.meta.url)
const { version, man } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as {
  version: string
  man: string[]
}

test('the man pages in the repository are what the command tree says (else: npm run man)', () => {
  const pages = manPages(version)
  assert.deepEqual(readdirSync(new URL('man/', root)).sort(), [...pages.keys()].sort())
  for (const [name, text] of pages)
    assert.equal(readFileSync(new URL(`man/${name}`, root), 'utf8'), text, name)
  assert.deepEqual(man.toSorted(), [...pages.keys()].map((name) => `man/${name}`).sort())
})
