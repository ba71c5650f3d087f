import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { daliHeader, daliLine, daliVersionFor } from '../../src/formats/dali-index.ts'
import { splitSampleName, whyUnholdable } from '../../src/formats/webdataset.ts'

/** base_plus_ext of webdataset's tariterators.py. */
const RULE = /^((?:.*\/|)[^.]+)[.]([^/]*)$/

test('a name that is taken splits as WebDataset splits it', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'B', '.', '/', '_'), minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(name, (n) => {
      if (whyUnholdable(n, 1) !== undefined) return
      const [, key = '', ext = ''] = RULE.exec(n) ?? []
      assert.deepEqual(splitSampleName(n), { key, ext: ext.toLowerCase() })
    }),
    { numRuns: 2000 },
  )
})

test('what readers would skip, misread or refuse is refused before it is packed', () => {
  assert.equal(whyUnholdable('a/b.tar.JPG', 1), undefined)
  assert.equal(whyUnholdable('a.b/README', 1), 'extension')
  assert.equal(whyUnholdable('a/b.', 1), 'extension')
  assert.equal(whyUnholdable('__pycache__/a.pyc', 1), 'meta')
  assert.equal(whyUnholdable('x/__pycache__/a.pyc', 1), undefined)
  assert.equal(whyUnholdable('a.__key__', 1), 'reserved')
  assert.equal(whyUnholdable('../../etc/passwd.txt', 1), 'path')
  assert.equal(whyUnholdable('/abs.txt', 1), 'path')
  assert.equal(whyUnholdable('a//b.txt', 1), 'path')
  assert.equal(whyUnholdable('a\tb.txt', 1), 'control')
  assert.equal(whyUnholdable('a\ud800.txt', 1), 'unicode')
  assert.equal(whyUnholdable('a.bin', 8 * 2 ** 30), 'size')
})

test('a DALI index lists extension, offset, size and name, and does without names that hold spaces', () => {
  const members = [
    { ext: 'cls', offset: 512, size: 3, name: 'a/b.cls' },
    { ext: 'jpg', offset: 1536, size: 70, name: 'a/b.JPG' },
  ]
  assert.equal(daliHeader('v1.2', 9), 'v1.2 9\n')
  assert.equal(daliLine('v1.2', members), 'cls 512 3 a/b.cls jpg 1536 70 a/b.JPG\n')
  assert.equal(daliLine('v1.1', members), 'cls 512 3 jpg 1536 70\n')
  assert.equal(daliVersionFor({ name: 'a b.jpg', ext: 'jpg' }), 'v1.1')
  assert.equal(daliVersionFor({ name: 'a.j pg', ext: 'j pg' }), undefined)
})
