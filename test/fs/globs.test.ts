import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isLongshoreError } from '../../src/errors.ts'
import { matchGlobs } from '../../src/fs/globs.ts'
import { createFilter } from '../../src/pack/filters.ts'
import { createSelector } from '../../src/preload/select.ts'
import { matchPaths } from '../../src/sync/sidecar-globs.ts'

const NAMES = ['a.jpg', '.b.jpg', 'x/a.jpg', 'x/y/a.jpg', 'meta/x/a', 'x/meta/a']

test('a slash anchors a pattern, without one it is about the last part, a last one means all below', () => {
  const matched = (glob: string) => NAMES.filter(matchGlobs([glob], '--include'))
  assert.deepEqual(matched('*.jpg'), ['a.jpg', '.b.jpg', 'x/a.jpg', 'x/y/a.jpg'])
  assert.deepEqual(matched('/*.jpg'), ['a.jpg', '.b.jpg'])
  assert.deepEqual(matched('./a.jpg'), ['a.jpg'])
  assert.deepEqual(matched('x/*.jpg'), ['x/a.jpg'])
  assert.deepEqual(matched('meta/'), ['meta/x/a'])
  assert.deepEqual(matched('**/meta/'), ['meta/x/a', 'x/meta/a'])
})

test('pack, preload and sync mean the same by the same pattern', () => {
  for (const glob of ['a.jpg', '/a.jpg', './x/*', 'meta/', '/x/', '**/a', '!(*.jpg)']) {
    const wanted = NAMES.filter(matchGlobs([glob], '--include'))
    assert.deepEqual(NAMES.filter(createFilter({ include: [glob], exclude: [] })), wanted, glob)
    assert.deepEqual(NAMES.filter(createSelector({ include: [glob], exclude: [] }).wants), wanted, glob)
    assert.deepEqual(NAMES.filter(matchPaths([glob])), wanted, glob)
  }
})

test('what is no pattern is refused by the name of its option', () => {
  for (const glob of ['', 'x'.repeat(70_000)]) {
    assert.throws(
      () => createFilter({ include: [], exclude: [glob] }),
      (e) => isLongshoreError(e, 'USAGE') && e.message.startsWith('--exclude'),
    )
  }
})
