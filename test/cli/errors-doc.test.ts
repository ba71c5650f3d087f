import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { EXIT_TABLE } from '../../src/cli/exit-table.ts'
import { type ErrorCode, EXIT, LongshoreError } from '../../src/errors.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const doc = read('docs/errors.md')

test('docs/errors.md lists every code with the exit status that it leads to, and no other', () => {
  const [, table = ''] = /const STATUS_OF = \{(.*?)\} as const/s.exec(read('src/errors.ts')) ?? []
  const codes = [...table.matchAll(/^ {2}([A-Z_]+):/gm)].map(([, code]) => code ?? '')
  assert.ok(codes.length > 30)
  const rows = [...doc.matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(([, code, exit]) => `${code} ${exit}`)
  const wanted = codes.map((code) => `${code} ${new LongshoreError(code as ErrorCode, 'x').exit}`)
  assert.deepEqual(rows.sort(), wanted.sort())
})

test('help and docs/errors.md explain every exit status', () => {
  const statuses = Object.values(EXIT).map(String)
  assert.deepEqual(
    EXIT_TABLE.map(([status]) => status),
    statuses,
  )
  for (const status of statuses) assert.match(doc, new RegExp(`^\\| ${status} \\|`, 'm'))
})
